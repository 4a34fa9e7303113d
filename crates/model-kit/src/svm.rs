//! Linear support vector machines with the squared hinge loss, one class against the rest, on any features.

use tch::{Device, Kind, Tensor, no_grad};

use crate::error::{Error, Result};
use crate::weights::Weights;

/// Settings of [`LinearSvm::fit`].
#[derive(Debug, Clone, PartialEq)]
pub struct SvmConfig {
    /// What a sample on the wrong side of its margin costs, above 0: small values keep the weights small. Default 1.
    pub c: f64,
    /// How far the gradient has to fall, as a share of where it starts, times the share of the rarer side of each class.
    /// Default 1e-4, scikit-learn's.
    pub tolerance: f64,
    /// The most Newton steps. Default 200.
    pub steps: usize,
}

impl Default for SvmConfig {
    fn default() -> Self {
        Self { c: 1.0, tolerance: 1e-4, steps: 200 }
    }
}

/// How a fit went.
#[derive(Debug, Clone, PartialEq)]
pub struct SvmFit {
    /// The minimum found of each class' objective, see [`LinearSvm::fit`].
    pub objective: Vec<f64>,
    /// Newton steps taken.
    pub steps: usize,
    /// Whether every class came within the tolerance.
    pub converged: bool,
}

/// One hyperplane per class, each of which parts the class from all others.
#[derive(Debug)]
pub struct LinearSvm {
    /// `[features, classes]`
    weight: Tensor,
    /// `[1, classes]`
    bias: Tensor,
}

impl LinearSvm {
    /// Fits one hyperplane per class to features `[samples, features]`, of single or double precision, and the place of
    /// each sample's class.
    ///
    /// For each class, with y = 1 for its samples and −1 for the others, this minimises
    ///
    /// > ½ ‖w‖² + ½ b² + C Σ max(0, 1 − y (w·x + b))²
    ///
    /// which is the objective of scikit-learn's `LinearSVC` (liblinear), whose intercept is penalised too. Features should be
    /// of like size: standardise them before.
    ///
    /// The problems are solved side by side, in the primal, by Newton's method (Keerthi & DeCoste 2005): conjugate
    /// gradients find a step from the samples inside the margin, and the best length along it is found exactly. `start`,
    /// another fit on the same features, saves steps.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for settings out of their ranges, [`Error::InvalidInput`] for features of another shape
    /// than samples × features, classes that do not fit them, or a `start` of another shape, and [`Error::Backend`].
    pub fn fit(
        features: &Tensor,
        classes: &[usize],
        count: usize,
        config: &SvmConfig,
        start: Option<&Self>,
    ) -> Result<(Self, SvmFit)> {
        let problem = Problem::new(features, classes, count, config)?;
        let [_, width] = problem.size;
        let shape = [width + 1, count as i64];
        let mut plane = match start {
            None => Tensor::f_zeros(shape, problem.options)?,
            Some(start) => Tensor::f_cat(&[&start.weight, &start.bias], 0)?.f_to_kind(problem.options.0)?,
        };
        if plane.size() != shape {
            let expected = format!("a hyperplane for {width} features and {count} classes");
            return Err(Error::input("start of a fit", expected, format!("{:?}", plane.size())));
        }
        no_grad(|| {
            let limit = problem.gradient_limit()?;
            let mut steps = 0;
            loop {
                let outside = problem.outside(&plane)?;
                let gradient = problem.gradient(&plane, &outside)?;
                let open = norms(&gradient)?.f_gt_tensor(&limit)?;
                let converged = open.f_any()?.double_value(&[]) == 0.0;
                if converged || steps == config.steps {
                    let objective = Vec::try_from(problem.objective(&plane, &outside)?.f_to_kind(Kind::Double)?)?;
                    let svm = Self {
                        weight: plane.f_narrow(0, 0, width)?.f_contiguous()?,
                        bias: plane.f_narrow(0, width, 1)?.f_contiguous()?,
                    };
                    return Ok((svm, SvmFit { objective, steps, converged }));
                }
                // Classes that are done stand still.
                let step = problem.newton_step(&gradient, &outside)?.f_mul(&open)?;
                let length = problem.best_length(&plane, &step)?;
                plane = plane.f_add(&step.f_mul(&length)?)?;
                steps += 1;
            }
        })
    }

    /// How far each sample lies on each class' side of its hyperplane, in units of the margin.
    ///
    /// # Shapes
    /// `[samples, features]` → `[samples, classes]`
    ///
    /// # Errors
    /// [`Error::Backend`], for another number of features.
    pub fn margins(&self, features: &Tensor) -> Result<Tensor> {
        Ok(features.f_to_kind(self.weight.f_kind()?)?.f_matmul(&self.weight)?.f_add(&self.bias)?)
    }

    /// The place of the class on whose side each sample lies furthest.
    ///
    /// # Errors
    /// As [`margins`](Self::margins).
    pub fn predict(&self, features: &Tensor) -> Result<Vec<usize>> {
        let places: Vec<i64> = Vec::try_from(self.margins(features)?.f_argmax(1, false)?)?;
        Ok(places.into_iter().map(|place| place as usize).collect())
    }

    /// Adds the hyperplanes to a file's tensors, as `svm.weight` `[features, classes]` and `svm.bias` `[1, classes]`.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn save_into(&self, weights: &mut Weights) -> Result<()> {
        weights.insert("svm.weight".into(), &self.weight)?;
        weights.insert("svm.bias".into(), &self.bias)
    }

    /// The hyperplanes for `classes` classes out of a file's tensors.
    ///
    /// # Errors
    /// [`Error::Weights`] when they are missing or of another shape.
    pub fn from_weights(weights: &Weights, classes: usize) -> Result<Self> {
        let find = |name: &str| weights.tensors.get(name).map(Tensor::shallow_clone);
        let (weight, bias) = (find("svm.weight"), find("svm.bias"));
        let classes = classes as i64;
        match (weight, bias) {
            (Some(weight), Some(bias))
                if matches!(weight.size()[..], [_, columns] if columns == classes) && bias.size() == [1, classes] =>
            {
                Ok(Self { weight, bias })
            }
            (weight, bias) => Err(Error::Weights {
                path: weights.path().to_owned(),
                missing: [("svm.weight", &weight), ("svm.bias", &bias)]
                    .into_iter()
                    .filter(|(_, tensor)| tensor.is_none())
                    .map(|(name, _)| name.to_owned())
                    .collect(),
                unexpected: Vec::new(),
                mis_shaped: [("svm.weight", weight, -1), ("svm.bias", bias, 1)]
                    .into_iter()
                    .filter_map(|(name, tensor, rows)| Some((name, tensor?.size(), rows)))
                    .map(|(name, got, rows)| crate::ShapeMismatch {
                        name: name.into(),
                        expected: vec![rows, classes],
                        got,
                    })
                    .collect(),
            }),
        }
    }
}

/// What is minimised. Hyperplanes are `[features + 1, classes]`, the last row the biases; values of samples are
/// `[samples, classes]`.
struct Problem<'a> {
    features: &'a Tensor,
    /// 1 for the samples of each class, −1 for the others.
    signs: Tensor,
    size: [i64; 2],
    c: f64,
    tolerance: f64,
    options: (Kind, Device),
}

impl<'a> Problem<'a> {
    fn new(features: &'a Tensor, classes: &[usize], count: usize, config: &SvmConfig) -> Result<Self> {
        let positive = |field, value: f64| {
            let usable = value.is_finite() && value > 0.0;
            if usable { Ok(()) } else { Err(Error::config(field, "finite and above 0", value)) }
        };
        positive("c", config.c)?;
        positive("tolerance", config.tolerance)?;
        let kind = features.f_kind()?;
        let samples = classes.len() as i64;
        let size = match features.size()[..] {
            [rows, columns] if rows == samples && rows > 0 && matches!(kind, Kind::Float | Kind::Double) => {
                [rows, columns]
            }
            ref other => {
                let expected = format!("{samples} rows of floats, one for each class label, at least 1");
                return Err(Error::input("features", expected, format!("{other:?} of {kind:?}")));
            }
        };
        if let Some(class) = classes.iter().find(|&&class| class >= count) {
            return Err(Error::input("class", format!("below {count}"), class));
        }
        let options = (kind, features.device());
        let places: Vec<i64> = classes.iter().map(|&class| class as i64).collect();
        let places = Tensor::f_from_slice(&places)?.f_to_device(features.device())?.f_view([-1, 1])?;
        let mut signs = Tensor::f_full([samples, count as i64], -1.0, options)?;
        let _ = signs.f_scatter_value_(1, &places, 1.0)?;
        Ok(Self { features, signs, size, c: config.c, tolerance: config.tolerance, options })
    }

    /// What the hyperplanes say of the samples.
    fn apply(&self, plane: &Tensor) -> Result<Tensor> {
        let [_, width] = self.size;
        Ok(self.features.f_matmul(&plane.f_narrow(0, 0, width)?)?.f_add(&plane.f_narrow(0, width, 1)?)?)
    }

    /// The transpose of [`apply`](Self::apply).
    fn gather(&self, values: &Tensor) -> Result<Tensor> {
        let sums = values.f_sum_dim_intlist([0i64].as_slice(), true, None::<Kind>)?;
        Ok(Tensor::f_cat(&[self.features.f_transpose(0, 1)?.f_matmul(values)?, sums], 0)?)
    }

    /// How much of its margin each sample lacks, 0 for those that have it.
    fn outside(&self, plane: &Tensor) -> Result<Tensor> {
        Ok(self.signs.f_mul(&self.apply(plane)?)?.f_neg()?.f_add_scalar(1.0)?.f_clamp_min(0.0)?)
    }

    /// `[classes]`
    fn objective(&self, plane: &Tensor, outside: &Tensor) -> Result<Tensor> {
        let size = columns(&plane.f_square()?)?.f_mul_scalar(0.5)?;
        Ok(size.f_add(&columns(&outside.f_square()?)?.f_mul_scalar(self.c)?)?)
    }

    fn gradient(&self, plane: &Tensor, outside: &Tensor) -> Result<Tensor> {
        Ok(plane.f_sub(&self.gather(&self.signs.f_mul(outside)?)?.f_mul_scalar(2.0 * self.c)?)?)
    }

    /// The norms of the gradients at which the classes are done, liblinear's rule.
    fn gradient_limit(&self) -> Result<Tensor> {
        let [samples, width] = self.size;
        let zero = Tensor::f_zeros([width + 1, self.signs.size()[1]], self.options)?;
        let start = norms(&self.gradient(&zero, &self.outside(&zero)?)?)?;
        let members = columns(&self.signs.f_gt(0.0)?.f_to_kind(self.options.0)?)?;
        let rarer = members.f_minimum(&members.f_neg()?.f_add_scalar(samples as f64)?)?.f_clamp_min(1.0)?;
        Ok(start.f_mul(&rarer)?.f_mul_scalar(self.tolerance / samples as f64)?)
    }

    /// An approximate minimum of the quadratic that each class' objective is while the same samples lack margin, by
    /// conjugate gradients to a tenth of the gradient, as liblinear has it.
    fn newton_step(&self, gradient: &Tensor, outside: &Tensor) -> Result<Tensor> {
        let active = outside.f_gt(0.0)?.f_to_kind(self.options.0)?;
        let hessian = |step: &Tensor| -> Result<Tensor> {
            let curvature = self.gather(&active.f_mul(&self.apply(step)?)?)?;
            Ok(step.f_add(&curvature.f_mul_scalar(2.0 * self.c)?)?)
        };
        let mut step = gradient.f_zeros_like()?;
        let mut residual = gradient.f_neg()?;
        let mut direction = residual.shallow_clone();
        let mut squared = columns(&residual.f_square()?)?;
        let goal = squared.f_mul_scalar(0.01)?;
        for _ in 0..MOST_CONJUGATE_STEPS {
            let open = squared.f_gt_tensor(&goal)?;
            if open.f_any()?.double_value(&[]) == 0.0 {
                break;
            }
            let curved = hessian(&direction)?;
            let along = columns(&direction.f_mul(&curved)?)?.f_clamp_min(TINY)?;
            let length = squared.f_div(&along)?.f_mul(&open)?;
            step = step.f_add(&direction.f_mul(&length)?)?;
            residual = residual.f_sub(&curved.f_mul(&length)?)?;
            let next = columns(&residual.f_square()?)?;
            let share = next.f_div(&squared.f_clamp_min(TINY)?)?;
            direction = residual.f_add(&direction.f_mul(&share)?)?;
            squared = next;
        }
        Ok(step)
    }

    /// The length along each class' step at which its objective is least: the zero of a rising function made of straight
    /// pieces, by Newton's method.
    fn best_length(&self, plane: &Tensor, step: &Tensor) -> Result<Tensor> {
        let lacking = self.signs.f_mul(&self.apply(plane)?)?.f_neg()?.f_add_scalar(1.0)?;
        let gain = self.signs.f_mul(&self.apply(step)?)?;
        let (slope, curvature) = (columns(&plane.f_mul(step)?)?, columns(&step.f_square()?)?);
        let mut length = Tensor::f_ones_like(&slope)?;
        for _ in 0..MOST_LENGTHS {
            let left = lacking.f_sub(&gain.f_mul(&length)?)?.f_clamp_min(0.0)?;
            let active = left.f_gt(0.0)?.f_to_kind(self.options.0)?;
            let first = slope
                .f_add(&curvature.f_mul(&length)?)?
                .f_sub(&columns(&left.f_mul(&gain)?)?.f_mul_scalar(2.0 * self.c)?)?;
            let second = curvature.f_add(&columns(&active.f_mul(&gain.f_square()?)?)?.f_mul_scalar(2.0 * self.c)?)?;
            // A class that stands still has no curvature, and any length is right.
            let change = first.f_div(&second.f_clamp_min(TINY)?)?;
            length = length.f_sub(&change)?;
            if change.f_abs()?.f_max()?.double_value(&[]) < 1e-6 {
                break;
            }
        }
        Ok(length)
    }
}

/// Far more than a step of a tenth of the gradient takes on standardised features.
const MOST_CONJUGATE_STEPS: usize = 500;

/// Keeps divisions of nothing by nothing from being undefined, in single precision too.
const TINY: f64 = f32::MIN_POSITIVE as f64;

/// Straight pieces that are looked at along one step.
const MOST_LENGTHS: usize = 30;

/// The sum of each column.
fn columns(values: &Tensor) -> Result<Tensor> {
    Ok(values.f_sum_dim_intlist([0i64].as_slice(), false, None::<Kind>)?)
}

/// The length of each column.
fn norms(values: &Tensor) -> Result<Tensor> {
    Ok(columns(&values.f_square()?)?.f_sqrt()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_are_parted_in_the_middle() {
        // With y = ±1 at x = ±1, w minimises ½ w² + 2 C (1 − w)²: w = 4 C / (1 + 4 C).
        let features = Tensor::from_slice(&[-1.0f64, 1.0]).view([2, 1]);
        let config = SvmConfig { c: 2.0, tolerance: 1e-10, ..SvmConfig::default() };
        let (svm, fit) = LinearSvm::fit(&features, &[0, 1], 2, &config, None).unwrap();
        assert!(fit.converged && fit.steps <= 3, "{fit:?}");
        let margins = Vec::<f64>::try_from(svm.margins(&features).unwrap().flatten(0, -1)).unwrap();
        for (got, want) in margins.iter().zip([8.0 / 9.0, -8.0 / 9.0, -8.0 / 9.0, 8.0 / 9.0]) {
            assert!((got - want).abs() < 1e-9, "{margins:?}");
        }
        assert_eq!(svm.predict(&features).unwrap(), [0, 1]);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let features = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let config = SvmConfig::default();
        let fit = |classes: &[usize], config: &SvmConfig| LinearSvm::fit(&features, classes, 2, config, None);
        assert!(matches!(fit(&[0, 1, 1], &config), Err(Error::InvalidInput { .. })));
        assert!(matches!(fit(&[0, 2], &config), Err(Error::InvalidInput { .. })));
        let zero = SvmConfig { c: 0.0, ..config.clone() };
        assert!(matches!(fit(&[0, 1], &zero), Err(Error::InvalidConfig { .. })));
        assert!(matches!(LinearSvm::from_weights(&Weights::default(), 2), Err(Error::Weights { .. })));
        let (svm, _) = fit(&[0, 1], &config).unwrap();
        let mut weights = Weights::default();
        svm.save_into(&mut weights).unwrap();
        assert!(LinearSvm::from_weights(&weights, 2).is_ok());
        assert!(matches!(LinearSvm::from_weights(&weights, 3), Err(Error::Weights { .. })));
    }
}
