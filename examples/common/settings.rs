//! `--param NAME=VALUE`: librosa's parameters of each feature, with their defaults, read and checked by name.

use std::str::FromStr;

use anyhow::{Result, anyhow, bail};

/// A parameter of a feature: librosa's name, its default, and what it takes.
pub(crate) type Parameter = (&'static str, &'static str, Kind);

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Count,
    /// A count, or `none`.
    MaybeCount,
    Number,
    /// A number, or `none`.
    MaybeNumber,
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A number, or one of these words.
    NumberOr(&'static [&'static str]),
    /// The name of a window.
    Window,
}

impl Kind {
    fn accepts(self, value: &str) -> bool {
        let number = || value.parse::<f64>().is_ok_and(f64::is_finite);
        match self {
            Self::Count => value.parse::<usize>().is_ok(),
            Self::MaybeCount => value == "none" || value.parse::<usize>().is_ok(),
            Self::Number => number(),
            Self::MaybeNumber => value == "none" || number(),
            Self::Flag => value.parse::<bool>().is_ok(),
            Self::Word(words) => words.contains(&value),
            Self::NumberOr(words) => words.contains(&value) || number(),
            Self::Window => value.parse::<audio_features::Window>().is_ok(),
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Count => "a whole number".to_owned(),
            Self::MaybeCount => "a whole number or none".to_owned(),
            Self::Number => "a number".to_owned(),
            Self::MaybeNumber => "a number or none".to_owned(),
            Self::Flag => "true or false".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::NumberOr(words) => format!("a number or one of {}", words.join(", ")),
            Self::Window => "the name of a window, such as hann, hamming or blackman".to_owned(),
        }
    }
}

/// The parameters of one feature, with the values that were given.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    parameters: Vec<Parameter>,
    given: Vec<(&'static str, String)>,
}

impl Settings {
    /// The settings of every feature. A `NAME=VALUE` goes to each feature that has the parameter, a `FEATURE.NAME=VALUE` to
    /// that feature alone; one that nobody takes is an error that lists what there is.
    pub(crate) fn read(features: &[(&'static str, Vec<Parameter>)], given: &[String]) -> Result<Vec<Self>> {
        let mut all: Vec<Self> =
            features.iter().map(|(_, known)| Self { parameters: known.clone(), given: Vec::new() }).collect();
        for text in given {
            let Some((name, value)) = text.split_once('=') else {
                bail!("--param {text}: expected NAME=VALUE, such as n_fft=1024");
            };
            let (only, name) = name.split_once('.').map_or((None, name), |(feature, name)| (Some(feature), name));
            let mut taken = false;
            for ((feature, _), settings) in features.iter().zip(&mut all) {
                if only.is_none_or(|only| only == *feature) {
                    taken |= settings.set(feature, name, &value.trim().to_lowercase())?;
                }
            }
            if !taken {
                let lists =
                    features.iter().zip(&all).filter(|((feature, _), _)| only.is_none_or(|only| only == *feature));
                let lists: Vec<String> =
                    lists.map(|((feature, _), settings)| format!("\n  {feature}: {}", settings.list())).collect();
                let asked: Vec<&str> = features.iter().map(|(feature, _)| *feature).collect();
                match lists.is_empty() {
                    true => bail!("--param {text}: asked for were only {}", asked.join(", ")),
                    false => bail!("--param {text}: there is no parameter {name}; there are{}", lists.concat()),
                }
            }
        }
        Ok(all)
    }

    /// Whether the parameter exists; it has the value then.
    fn set(&mut self, feature: &str, name: &str, value: &str) -> Result<bool> {
        let Some(&(name, _, kind)) = self.parameters.iter().find(|(known, ..)| *known == name) else {
            return Ok(false);
        };
        if !kind.accepts(value) {
            bail!(
                "--param {name}={value}: {name} of {feature} must be {}; parameters of {feature}: {}",
                kind.describe(),
                self.list()
            );
        }
        self.given.retain(|(other, _)| *other != name);
        self.given.push((name, value.to_owned()));
        Ok(true)
    }

    /// Every parameter with its value.
    pub(crate) fn list(&self) -> String {
        let each = self.parameters.iter().map(|(name, ..)| format!("{name}={}", self.word(name)));
        each.collect::<Vec<_>>().join(", ")
    }

    /// The value as it was written.
    pub(crate) fn word(&self, name: &str) -> &str {
        let given = self.given.iter().find(|(other, _)| *other == name).map(|(_, value)| value.as_str());
        given.or_else(|| self.parameters.iter().find(|(other, ..)| *other == name).map(|p| p.1)).unwrap_or("none")
    }

    pub(crate) fn get<T: FromStr>(&self, name: &str) -> Result<T> {
        self.word(name).parse().map_err(|_| anyhow!("{name} cannot be {}", self.word(name)))
    }

    /// `None` for `none`.
    pub(crate) fn maybe<T: FromStr>(&self, name: &str) -> Result<Option<T>> {
        if self.word(name) == "none" { Ok(None) } else { self.get(name).map(Some) }
    }
}
