//! Window functions, by the names and formulas of `scipy.signal.get_window`, which is what librosa calls.

mod designed;

use std::f64::consts::PI;

use crate::error::{Error, Result};
use crate::frame::check_length;

/// A window function. [`Window::samples`] draws it.
///
/// The names in brackets are scipy's. Every shape is the *periodic* one (`fftbins=True`) where a spectrum is computed.
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Window {
    /// Raised cosine (`hann`), the default of every librosa function.
    #[default]
    Hann,
    /// Raised cosine on a pedestal, 0.54 + 0.46 (`hamming`).
    Hamming,
    /// Three-term cosine sum (`blackman`).
    Blackman,
    /// Four-term cosine sum with the lowest side lobes (`blackmanharris`).
    BlackmanHarris,
    /// Four-term cosine sum after Nuttall (`nuttall`).
    Nuttall,
    /// Five-term cosine sum for reading amplitudes (`flattop`).
    Flattop,
    /// No window: ones (`boxcar`, `rectangular`, `ones`).
    Boxcar,
    /// Triangle that does not reach zero (`triang`).
    Triang,
    /// Triangle that reaches zero (`bartlett`).
    Bartlett,
    /// Bartlett and Hann combined (`barthann`).
    Barthann,
    /// Half a period of a cosine (`cosine`).
    Cosine,
    /// Convolution of two half-period cosines (`bohman`).
    Bohman,
    /// Piecewise cubic (`parzen`).
    Parzen,
    /// Main lobe of a sinc (`lanczos`).
    Lanczos,
    /// `alpha − (1 − alpha)·cos` (`general_hamming`).
    GeneralHamming {
        /// Height of the pedestal.
        alpha: f64,
    },
    /// Kaiser's window (`kaiser`).
    Kaiser {
        /// Shape: 0 is a boxcar, 14 has very low side lobes.
        beta: f64,
    },
    /// Bell curve (`gaussian`).
    Gaussian {
        /// Standard deviation, in samples; above 0.
        std: f64,
    },
    /// Generalised bell curve (`general_gaussian`).
    GeneralGaussian {
        /// Shape: 1 is a Gaussian, 0.5 a Laplace curve.
        p: f64,
        /// Standard deviation, in samples; above 0.
        sig: f64,
    },
    /// Flat with cosine flanks (`tukey`).
    Tukey {
        /// Share of the window that the flanks take, 0 to 1.
        alpha: f64,
    },
    /// Two-sided exponential decay (`exponential`, `poisson`).
    Exponential {
        /// Where the top lies, in samples; `None` is the middle. scipy allows another place in periodic windows only.
        center: Option<f64>,
        /// Decay, in samples; above 0.
        tau: f64,
    },
    /// `a0 − a1·cos + a2·cos 2 − …` (`general_cosine`).
    GeneralCosine {
        /// The weights a0, a1, …
        coefficients: Vec<f64>,
    },
    /// Narrowest main lobe for side lobes that all have one height (`chebwin`, after Dolph and Chebyshev).
    Chebyshev {
        /// How far the side lobes lie below the main lobe, in dB; scipy warns of less than 45.
        attenuation: f64,
    },
    /// Nearest side lobes of about one height, the others falling (`taylor`).
    Taylor {
        /// Number of near side lobes of about one height; at least 1. scipy's default is 4.
        nbar: usize,
        /// How far those lie below the main lobe, in dB; at least 0. scipy's default is 30.
        sll: f64,
        /// Whether the window is scaled to 1 in the middle. scipy's default is true.
        norm: bool,
    },
    /// Most of its energy in a band: the first discrete prolate spheroidal sequence (`dpss`, after Slepian).
    Dpss {
        /// Half the width of the band, in bins; above 0, below half the length.
        nw: f64,
    },
    /// Kaiser's window summed up, whose squares add up to 1 at half overlap (`kaiser_bessel_derived`, `kbd`). It is symmetric
    /// and of even length only, so no spectrum can use it; scipy refuses that too.
    KaiserBesselDerived {
        /// Shape of the Kaiser window.
        beta: f64,
    },
    /// Another window that is periodic or symmetric whatever it is used for (`hann_symmetric`, `hann_periodic`, and so on).
    Always {
        /// The window.
        window: Box<Window>,
        /// Whether it is periodic.
        periodic: bool,
    },
    /// Values of the caller's own. Their number must be the window's length.
    Custom(Vec<f64>),
}

impl Window {
    /// The window's values, `length` of them (librosa: `filters.get_window(window, length, fftbins=periodic)`).
    ///
    /// `periodic` drops the last point of a window one longer, as a spectrum wants it; otherwise the window is symmetric.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] when `length` is 0, a parameter is out of its range, or a [`Window::Custom`] has another length.
    pub fn samples(&self, length: usize, periodic: bool) -> Result<Vec<f64>> {
        if let Self::Always { ref window, periodic } = *self {
            return window.samples(length, periodic);
        }
        check_length("win_length", length)?;
        self.check(length, periodic)?;
        if let Self::Custom(values) = self {
            return Ok(values.clone());
        }
        if length == 1 {
            return Ok(vec![1.0]);
        }
        let mut values = self.symmetric(length + usize::from(periodic));
        values.truncate(length);
        Ok(values)
    }

    fn check(&self, length: usize, periodic: bool) -> Result<()> {
        let positive = |parameter, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(Error::config(parameter, "a finite number above 0", value))
            }
        };
        let finite = |parameter, value: f64| {
            if value.is_finite() { Ok(()) } else { Err(Error::config(parameter, "a finite number", value)) }
        };
        match *self {
            Self::GeneralHamming { alpha } => finite("window alpha", alpha),
            Self::Kaiser { beta } => finite("window beta", beta),
            Self::Gaussian { std } => positive("window std", std),
            Self::GeneralGaussian { p, sig } => finite("window p", p).and(positive("window sig", sig)),
            Self::Tukey { alpha } => finite("window alpha", alpha),
            Self::Exponential { center, tau } => {
                if let Some(center) = center
                    && !(periodic && center.is_finite())
                {
                    return Err(Error::config("window center", "None, or finite in a periodic window", center));
                }
                positive("window tau", tau)
            }
            Self::GeneralCosine { ref coefficients } => match coefficients.iter().find(|a| !a.is_finite()) {
                Some(a) => Err(Error::config("window coefficients", "finite numbers", a)),
                None => Ok(()),
            },
            Self::Chebyshev { attenuation } => {
                // Beyond this the Chebyshev polynomial leaves the range of f64.
                if attenuation.abs() <= 6000.0 {
                    Ok(())
                } else {
                    Err(Error::config("window attenuation", "at most 6000 dB", attenuation))
                }
            }
            Self::Taylor { nbar, .. } if !(1..=1024).contains(&nbar) => {
                Err(Error::config("window nbar", "1 to 1024", nbar))
            }
            Self::Taylor { sll, .. } if !(0.0..=6000.0).contains(&sll) => {
                Err(Error::config("window sll", "0 to 6000 dB", sll))
            }
            Self::Dpss { nw } if length > 1 && !(nw > 0.0 && nw < length as f64 / 2.0) => {
                Err(Error::config("window nw", format!("above 0 and below {}", length as f64 / 2.0), nw))
            }
            Self::KaiserBesselDerived { .. } if periodic || !length.is_multiple_of(2) => Err(Error::config(
                "window",
                "symmetric and of even length for kaiser_bessel_derived",
                format!("{length} values{}", if periodic { ", periodic" } else { "" }),
            )),
            Self::KaiserBesselDerived { beta } => finite("window beta", beta),
            Self::Custom(ref values) if values.len() != length => {
                Err(Error::config("window", format!("{length} values"), format!("{} values", values.len())))
            }
            Self::Custom(ref values) => match values.iter().find(|value| !value.is_finite()) {
                Some(value) => Err(Error::config("window", "finite everywhere", value)),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The symmetric window of `m` ≥ 2 points.
    fn symmetric(&self, m: usize) -> Vec<f64> {
        let last = (m - 1) as f64;
        let middle = last / 2.0;
        let draw = |f: &dyn Fn(f64) -> f64| (0..m).map(|n| f(n as f64)).collect::<Vec<f64>>();
        match *self {
            Self::Hann => cosine_sum(m, &[0.5, 0.5]),
            Self::Hamming => cosine_sum(m, &[0.54, 0.46]),
            Self::Blackman => cosine_sum(m, &[0.42, 0.50, 0.08]),
            Self::BlackmanHarris => cosine_sum(m, &[0.35875, 0.48829, 0.14128, 0.01168]),
            Self::Nuttall => cosine_sum(m, &[0.3635819, 0.4891775, 0.1365995, 0.0106411]),
            Self::Flattop => cosine_sum(m, &[0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368]),
            Self::GeneralHamming { alpha } => cosine_sum(m, &[alpha, 1.0 - alpha]),
            Self::Boxcar => vec![1.0; m],
            Self::Triang if m.is_multiple_of(2) => draw(&|n| (2.0 * n.min(last - n) + 1.0) / m as f64),
            Self::Triang => draw(&|n| 2.0 * (n.min(last - n) + 1.0) / (m as f64 + 1.0)),
            Self::Bartlett => draw(&|n| if n <= middle { 2.0 * n / last } else { 2.0 - 2.0 * n / last }),
            Self::Barthann => draw(&|n| {
                let x = (n / last - 0.5).abs();
                0.62 - 0.48 * x + 0.38 * (2.0 * PI * x).cos()
            }),
            Self::Cosine => draw(&|n| (PI / m as f64 * (n + 0.5)).sin()),
            Self::Bohman => {
                let mut values = draw(&|n| {
                    let x = (2.0 * n / last - 1.0).abs();
                    (1.0 - x) * (PI * x).cos() + (PI * x).sin() / PI
                });
                values[0] = 0.0;
                values[m - 1] = 0.0;
                values
            }
            Self::Parzen => draw(&|n| {
                let (offset, half) = ((n - middle).abs(), m as f64 / 2.0);
                let x = offset / half;
                if offset <= last / 4.0 { 1.0 - 6.0 * x * x + 6.0 * x.powi(3) } else { 2.0 * (1.0 - x).powi(3) }
            }),
            Self::Lanczos => draw(&|n| sinc(2.0 * n / last - 1.0)),
            Self::Kaiser { beta } => {
                let scale = bessel_i0(beta);
                draw(&|n| {
                    let x = (n - middle) / middle;
                    bessel_i0(beta * (1.0 - x * x).max(0.0).sqrt()) / scale
                })
            }
            Self::Gaussian { std } => draw(&|n| (-(n - middle).powi(2) / (2.0 * std * std)).exp()),
            Self::GeneralGaussian { p, sig } => draw(&|n| (-0.5 * ((n - middle) / sig).abs().powf(2.0 * p)).exp()),
            Self::Tukey { alpha } if alpha <= 0.0 => vec![1.0; m],
            Self::Tukey { alpha } if alpha >= 1.0 => Self::Hann.symmetric(m),
            Self::Tukey { alpha } => {
                let width = (alpha * last / 2.0).floor();
                draw(&|n| {
                    if n <= width {
                        0.5 * (1.0 + (PI * (-1.0 + 2.0 * n / alpha / last)).cos())
                    } else if n < last - width {
                        1.0
                    } else {
                        0.5 * (1.0 + (PI * (-2.0 / alpha + 1.0 + 2.0 * n / alpha / last)).cos())
                    }
                })
            }
            Self::Exponential { center, tau } => draw(&|n| (-(n - center.unwrap_or(middle)).abs() / tau).exp()),
            Self::GeneralCosine { ref coefficients } => cosine_sum(m, coefficients),
            Self::Chebyshev { attenuation } => designed::chebyshev(m, attenuation),
            Self::Taylor { nbar, sll, norm } => designed::taylor(m, nbar, sll, norm),
            Self::Dpss { nw } => designed::dpss(m, nw),
            Self::KaiserBesselDerived { beta } => {
                let mut sums = Self::Kaiser { beta }.symmetric(m / 2 + 1);
                for n in 1..sums.len() {
                    sums[n] += sums[n - 1];
                }
                let total = sums[m / 2];
                let half: Vec<f64> = sums[..m / 2].iter().map(|sum| (sum / total).sqrt()).collect();
                half.iter().chain(half.iter().rev()).copied().collect()
            }
            Self::Always { ref window, .. } => window.symmetric(m),
            Self::Custom(ref values) => values.clone(),
        }
    }
}

/// A window by scipy's name, for those that need no parameter; `_symmetric` or `_periodic` may follow it.
impl std::str::FromStr for Window {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        for (ending, periodic) in [("_symmetric", false), ("_periodic", true)] {
            if let Some(name) = name.strip_suffix(ending) {
                return Ok(Self::Always { window: Box::new(Self::by_name(name)?), periodic });
            }
        }
        Self::by_name(name)
    }
}

impl Window {
    fn by_name(name: &str) -> Result<Self> {
        Ok(match name {
            "hann" | "han" => Self::Hann,
            "hamming" | "hamm" | "ham" => Self::Hamming,
            "blackman" | "black" | "blk" => Self::Blackman,
            "blackmanharris" | "blackharr" | "bkh" => Self::BlackmanHarris,
            "nuttall" | "nutl" | "nut" => Self::Nuttall,
            "flattop" | "flat" | "flt" => Self::Flattop,
            "boxcar" | "box" | "ones" | "rect" | "rectangular" => Self::Boxcar,
            "triang" | "triangle" | "tri" => Self::Triang,
            "bartlett" | "bart" | "brt" => Self::Bartlett,
            "barthann" | "brthan" | "bth" => Self::Barthann,
            "cosine" | "halfcosine" => Self::Cosine,
            "bohman" | "bman" | "bmn" => Self::Bohman,
            "parzen" | "parz" | "par" => Self::Parzen,
            "lanczos" | "sinc" => Self::Lanczos,
            "tukey" | "tuk" => Self::Tukey { alpha: 0.5 },
            "exponential" | "poisson" => Self::Exponential { center: None, tau: 1.0 },
            "taylor" | "taylorwin" => Self::Taylor { nbar: 4, sll: 30.0, norm: true },
            _ => return Err(Error::config("window", "the name of a window", name)),
        })
    }
}

/// `a0 − a1·cos x + a2·cos 2x − …`, written as scipy sums it: from −π to π with every sign positive.
fn cosine_sum(m: usize, coefficients: &[f64]) -> Vec<f64> {
    let step = 2.0 * PI / (m - 1) as f64;
    (0..m)
        .map(|n| {
            let x = -PI + step * n as f64;
            coefficients.iter().enumerate().map(|(k, a)| a * (k as f64 * x).cos()).sum()
        })
        .collect()
}

/// sin(πx)/(πx).
pub(crate) fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The modified Bessel function of the first kind and order 0, by its power series Σ ((x/2)^k / k!)²: every term is
/// positive, so nothing cancels, and the sum is exact to rounding for all arguments that windows use.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_of_the_name_wins() {
        let hann = |name: &str, periodic| name.parse::<Window>().unwrap().samples(8, periodic).unwrap();
        assert_eq!(hann("hann_symmetric", true), hann("hann", false));
        assert_eq!(hann("hann_periodic", false), hann("hann", true));
        assert!("hann_symmetric_periodic".parse::<Window>().is_err());
    }

    #[test]
    fn periodic_hann_adds_up_to_one_at_half_overlap() {
        let window = Window::Hann.samples(64, true).unwrap();
        for n in 0..32 {
            assert!((window[n] + window[n + 32] - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn symmetric_windows_are_symmetric_with_their_top_in_the_middle() {
        let names = "hann hamming blackman blackmanharris nuttall flattop boxcar triang bartlett barthann cosine bohman parzen \
                     lanczos tukey exponential taylor";
        for window in names.split(' ').map(|name| name.parse::<Window>().unwrap()).chain([
            Window::Kaiser { beta: 8.6 },
            Window::Gaussian { std: 5.0 },
            Window::GeneralGaussian { p: 1.5, sig: 7.0 },
            Window::Chebyshev { attenuation: 80.0 },
            Window::Dpss { nw: 2.5 },
        ]) {
            let values = window.samples(33, false).unwrap();
            assert!((values[16] - 1.0).abs() < 1e-8, "{window:?}: middle is {}", values[16]);
            for n in 0..33 {
                assert!((values[n] - values[32 - n]).abs() < 1e-12, "{window:?} at {n}");
            }
        }
    }

    #[test]
    fn bessel_i0_has_the_tabulated_values() {
        // Abramowitz and Stegun, table 9.8.
        assert!((bessel_i0(1.0) - 1.266_065_877_752_008_4).abs() < 1e-14);
        assert!((bessel_i0(10.0) / 2_815.716_628_466_254 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn wrong_parameters_are_errors() {
        assert!(Window::Hann.samples(0, true).is_err());
        assert!(Window::Gaussian { std: 0.0 }.samples(8, true).is_err());
        assert!(Window::Custom(vec![1.0; 7]).samples(8, true).is_err());
        assert!("hannn".parse::<Window>().is_err());
        for window in [
            Window::Dpss { nw: 4.0 },
            Window::Dpss { nw: f64::NAN },
            Window::Taylor { nbar: 0, sll: 30.0, norm: true },
            Window::Taylor { nbar: 4, sll: -1.0, norm: true },
            Window::Chebyshev { attenuation: f64::INFINITY },
            Window::KaiserBesselDerived { beta: 4.0 },
            Window::GeneralCosine { coefficients: vec![f64::NAN] },
        ] {
            assert!(window.samples(8, true).is_err(), "{window:?}");
        }
        assert!(Window::Exponential { center: Some(2.0), tau: 1.0 }.samples(8, false).is_err());
        assert!(Window::KaiserBesselDerived { beta: 4.0 }.samples(9, false).is_err());
    }
}
