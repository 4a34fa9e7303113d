//! Named tensors in safetensors files, written atomically and checked against a network before one value is copied.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::error::ShapeMismatch;

/// Tensors by name, and what their file says about them.
#[derive(Debug)]
pub struct Weights {
    /// The tensors, on the processor.
    pub tensors: BTreeMap<String, Tensor>,
    /// The file's own key and value texts.
    pub metadata: BTreeMap<String, String>,
    path: PathBuf,
}

impl Default for Weights {
    fn default() -> Self {
        Self { tensors: BTreeMap::new(), metadata: BTreeMap::new(), path: "<memory>".into() }
    }
}

impl Weights {
    /// A copy of every tensor of a network, batch norm statistics included.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn from_store(store: &VarStore) -> Result<Self, Error> {
        let mut weights = Self::default();
        weights.extend("", store)?;
        Ok(weights)
    }

    /// Adds a copy of every tensor of a network, each name after `prefix`.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn extend(&mut self, prefix: &str, store: &VarStore) -> Result<(), Error> {
        for (name, tensor) in store.variables() {
            self.insert(format!("{prefix}{name}"), &tensor)?;
        }
        Ok(())
    }

    /// Adds a copy of one tensor.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn insert(&mut self, name: String, tensor: &Tensor) -> Result<(), Error> {
        let mut copy = Tensor::f_zeros(tensor.size(), (tensor.f_kind()?, Device::Cpu))?;
        tch::no_grad(|| copy.f_copy_(tensor))?;
        self.tensors.insert(name, copy);
        Ok(())
    }

    /// Reads a file of f64, f32, f16, bf16, i64 or u8 tensors.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`] for what is no safetensors file or has other types.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let bytes = fs::read(path).map_err(Error::io(path))?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads a file's bytes, such as embedded ones; `path` names them in errors.
    ///
    /// # Errors
    /// [`Error::Decode`] for what is no safetensors file or has other types.
    pub fn from_bytes(bytes: &[u8], path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let undecodable = |source| Error::Decode { path: path.to_owned(), expected: "safetensors".into(), source };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| undecodable(error.into()))?;
        let file = SafeTensors::deserialize(bytes).map_err(|error| undecodable(error.into()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let kind = kind_of(view.dtype()).ok_or_else(|| {
                undecodable(format!("tensor {name} has the unsupported type {:?}", view.dtype()).into())
            })?;
            let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
            tensors.insert(name.to_owned(), Tensor::f_from_data_size(view.data(), &shape, kind)?);
        }
        let metadata = header.metadata().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Self { tensors, metadata, path: path.to_owned() })
    }

    /// Every floating-point tensor as `kind` (half precision for shipping, say); others stay.
    ///
    /// # Errors
    /// [`Error::Backend`].
    pub fn to_kind(mut self, kind: Kind) -> Result<Self, Error> {
        for tensor in self.tensors.values_mut() {
            if tensor.is_floating_point() {
                *tensor = tensor.f_to_kind(kind)?;
            }
        }
        Ok(self)
    }

    /// Writes a file: to a temporary name first, then renamed, so that it is never half there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Decode`] for tensors of a type that the format lacks.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        write_atomically(path, &self.to_bytes()?)
    }

    /// A file's bytes. They are the same for the same tensors and at most one metadata key.
    ///
    /// # Errors
    /// [`Error::Decode`] for tensors of a type that the format lacks.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let unwritable = |source| Error::Decode { path: self.path.clone(), expected: "safetensors".into(), source };
        let mut buffers = Vec::with_capacity(self.tensors.len());
        for (name, tensor) in &self.tensors {
            let kind = tensor.f_kind()?;
            let dtype = dtype_of(kind)
                .ok_or_else(|| unwritable(format!("tensor {name} has the unsupported type {kind:?}").into()))?;
            let mut bytes = vec![0u8; tensor.numel() * kind.elt_size_in_bytes()];
            tensor.f_contiguous()?.f_copy_data_u8(&mut bytes, tensor.numel())?;
            let shape: Vec<usize> = tensor.size().iter().map(|&size| size as usize).collect();
            buffers.push((name.as_str(), dtype, shape, bytes));
        }
        let mut views = Vec::with_capacity(buffers.len());
        for (name, dtype, shape, bytes) in &buffers {
            let view = safetensors::tensor::TensorView::new(*dtype, shape.clone(), bytes);
            views.push((*name, view.map_err(|error| unwritable(error.into()))?));
        }
        let metadata: HashMap<String, String> = self.metadata.clone().into_iter().collect();
        let metadata = (!metadata.is_empty()).then_some(metadata);
        safetensors::serialize(views, metadata).map_err(|error| unwritable(error.into()))
    }

    /// The file that the tensors came from, or what stands for one.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors whose name starts with `prefix`, without it.
    pub fn strip_prefix(&self, prefix: &str) -> Self {
        let strip =
            |(name, tensor): (&String, &Tensor)| Some((name.strip_prefix(prefix)?.to_owned(), tensor.shallow_clone()));
        let tensors = self.tensors.iter().filter_map(strip).collect();
        Self { tensors, metadata: self.metadata.clone(), path: self.path.clone() }
    }

    /// Copies the values into a network, cast to the network's own type.
    ///
    /// # Errors
    /// [`Error::Weights`] with every missing, unexpected and mis-shaped name, and then nothing has been copied.
    pub fn load_into(&self, store: &VarStore) -> Result<(), Error> {
        let variables = store.variables();
        let mut missing: Vec<String> =
            variables.keys().filter(|name| !self.tensors.contains_key(*name)).cloned().collect();
        missing.sort();
        let mut unexpected = Vec::new();
        let mut mis_shaped = Vec::new();
        for (name, tensor) in &self.tensors {
            match variables.get(name) {
                None => unexpected.push(name.clone()),
                Some(variable) if variable.size() != tensor.size() => {
                    mis_shaped.push(ShapeMismatch { name: name.clone(), expected: variable.size(), got: tensor.size() })
                }
                Some(_) => {}
            }
        }
        if !(missing.is_empty() && unexpected.is_empty() && mis_shaped.is_empty()) {
            return Err(Error::Weights { path: self.path.clone(), missing, unexpected, mis_shaped });
        }
        tch::no_grad(|| {
            for (name, mut variable) in variables {
                variable.f_copy_(&self.tensors[&name])?;
            }
            Ok(())
        })
    }

    /// [`load_into`](Self::load_into) for all tensors but those of some names: of these the network keeps its own, and the file's
    /// may be missing or of any shape.
    ///
    /// # Errors
    /// As [`load_into`](Self::load_into).
    pub fn load_all_but(&self, left_out: impl Fn(&str) -> bool, store: &VarStore) -> Result<(), Error> {
        let mut weights = self.strip_prefix("");
        weights.tensors.retain(|name, _| !left_out(name));
        weights.tensors.extend(store.variables().into_iter().filter(|(name, _)| left_out(name)));
        weights.load_into(store)
    }
}

/// Writes a whole file under a temporary name beside its own, flushes it to the disk and renames it.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let part = beside(path, ".part");
    let write = || {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(Error::io(path))
}

/// The same path with something appended to the file's name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F64 => Kind::Double,
        Dtype::F32 => Kind::Float,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::U8 => Kind::Uint8,
        _ => return None,
    })
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    Some(match kind {
        Kind::Double => Dtype::F64,
        Kind::Float => Dtype::F32,
        Kind::Half => Dtype::F16,
        Kind::BFloat16 => Dtype::BF16,
        Kind::Int64 => Dtype::I64,
        Kind::Uint8 => Dtype::U8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tch::nn::Init;

    use super::*;

    fn store() -> VarStore {
        let store = VarStore::new(Device::Cpu);
        let _ = store.root().var("a", &[2, 3], Init::Randn { mean: 0.0, stdev: 1.0 });
        let _ = store.root().sub("deep").zeros_no_train("b", &[4]);
        store
    }

    #[test]
    fn a_file_round_trips_with_metadata() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.safetensors");
        let source = store();
        let mut weights = Weights::from_store(&source).unwrap();
        weights.metadata.insert("model".into(), "{\"a\": 1}".into());
        weights.save(&path).unwrap();
        assert_eq!(weights.to_bytes().unwrap(), fs::read(&path).unwrap());
        let read = Weights::open(&path).unwrap();
        assert_eq!(read.metadata["model"], "{\"a\": 1}");
        let target = store();
        read.load_into(&target).unwrap();
        assert_eq!(target.variables()["a"], source.variables()["a"]);
        assert!(!path.with_file_name("w.safetensors.part").exists());
    }

    #[test]
    fn half_precision_is_half_the_size_and_keeps_the_network_in_single() {
        let source = store();
        let half = Weights::from_store(&source).unwrap().to_kind(Kind::Half).unwrap();
        let target = store();
        Weights::from_bytes(&half.to_bytes().unwrap(), "half").unwrap().load_into(&target).unwrap();
        let loaded = &target.variables()["a"];
        assert_eq!(loaded.kind(), Kind::Float);
        assert!((loaded - &source.variables()["a"]).abs().max().double_value(&[]) < 2e-3);
    }

    #[test]
    fn everything_that_does_not_fit_is_reported_at_once() {
        let mut weights = Weights::default();
        weights.insert("a".into(), &Tensor::zeros([3, 2], (Kind::Float, Device::Cpu))).unwrap();
        weights.insert("c".into(), &Tensor::zeros([1], (Kind::Float, Device::Cpu))).unwrap();
        match weights.load_into(&store()) {
            Err(Error::Weights { missing, unexpected, mis_shaped, .. }) => {
                assert_eq!((missing, unexpected), (vec!["deep.b".to_owned()], vec!["c".to_owned()]));
                assert_eq!(mis_shaped[0].got, [3, 2]);
            }
            other => panic!("expected a report, got {other:?}"),
        }
    }

    #[test]
    fn rubbish_is_a_decode_error() {
        assert!(matches!(Weights::from_bytes(b"not a file", "test"), Err(Error::Decode { .. })));
        assert!(matches!(Weights::open(Path::new("/nowhere/x.safetensors")), Err(Error::Io { .. })));
    }
}
