//! Tensors: every data type, from raw data and from typed fields; sparse ones; and those that do not add up.

use bytes::Bytes;
use diptych_engine::error::{ErrorKind, Result};
use diptych_engine::graph::Model;
use diptych_engine::onnx::proto::*;
use diptych_engine::onnx::read_bytes;
use diptych_engine::session::{RunOptions, Session, SessionOptions, Source};
use diptych_engine::{DType, Tensor, Value};

use crate::build::*;

fn reading(tensor: TensorProto) -> Result<Model> {
    let mut proto = graph(&[], vec![], &["w"]);
    proto.initializer = vec![TensorProto { name: Some("w".into()), ..tensor }];
    read_graph(proto)
}

fn dense(tensor: TensorProto) -> Tensor {
    let model = reading(tensor).unwrap();
    model.graph.constant(0).and_then(|value| value.as_dense()).cloned().expect("a dense tensor")
}

fn shaped(dtype: DType, dims: &[i64]) -> TensorProto {
    TensorProto { data_type: Some(dtype as i32), dims: dims.into(), ..TensorProto::default() }
}

#[test]
fn raw_data_stays_where_it_is() {
    let mut proto = graph(&[], vec![], &["w"]);
    proto.initializer = vec![raw("w", 1, &[2, 2], &[7; 16])];
    let bytes = encode(&model(proto));
    let model = read_bytes(bytes.clone(), None).unwrap();
    let tensor = model.graph.constant(0).unwrap().as_dense().unwrap().clone();
    assert!(tensor.is_mapped());
    assert!(bytes.as_ptr_range().contains(&tensor.bytes().as_ptr()), "the bytes were copied");
    assert_eq!(tensor.bytes(), [7; 16]);
}

#[test]
fn raw_data_of_every_type() {
    for &dtype in DType::ALL.iter().filter(|&&dtype| dtype != DType::String) {
        let len = dtype.byte_len(5).unwrap();
        let data: Vec<u8> = (1..=len as u8).collect();
        let tensor = dense(raw("", dtype as i32, &[5], &data));
        assert_eq!((tensor.dtype(), tensor.bytes()), (dtype, data.as_slice()));
        invalid(reading(raw("", dtype as i32, &[5], &data[1..])), &["initializer 'w'", "bytes of data"]);
    }
}

#[test]
fn typed_fields_of_every_type() {
    let ints = |dtype, count, data: &[i32]| TensorProto { int32_data: data.into(), ..shaped(dtype, &[count]) };
    let check = |proto: TensorProto, want: &[u8]| assert_eq!(dense(proto.clone()).bytes(), want, "{proto:?}");
    check(ints(DType::I32, 1, &[-2]), &(-2i32).to_le_bytes());
    for dtype in [DType::I16, DType::U16, DType::F16, DType::BF16] {
        check(ints(dtype, 2, &[0x3c01, -1]), &[0x01, 0x3c, 0xff, 0xff]);
    }
    use DType::*;
    for dtype in [I8, U8, Bool, F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F8E8M0] {
        check(ints(dtype, 2, &[1, -1]), &[1, 0xff]);
    }
    for dtype in [I4, U4, F4E2M1] {
        check(ints(dtype, 3, &[0x21, 0x03]), &[0x21, 0x03]);
    }
    for dtype in [I2, U2] {
        check(ints(dtype, 5, &[0b11100100, 0b01]), &[0b11100100, 0b01]);
    }
    for dtype in [F6E2M3, F6E3M2] {
        // 000001, 000010, 000011, 100000, 111111: four in three bytes, the first lowest.
        check(ints(dtype, 5, &[1, 2, 3, 32, 63]), &[0x81, 0x30, 0x80, 0x3f]);
    }
    let floats = |dtype, count| TensorProto { float_data: vec![1.5, -2.0], ..shaped(dtype, &[count]) };
    let float_bytes = [1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat();
    check(floats(F32, 2), &float_bytes);
    check(floats(C64, 1), &float_bytes);
    let doubles = |dtype, count| TensorProto { double_data: vec![1.5, -2.0], ..shaped(dtype, &[count]) };
    let double_bytes = [1.5f64.to_le_bytes(), (-2f64).to_le_bytes()].concat();
    check(doubles(F64, 2), &double_bytes);
    check(doubles(C128, 1), &double_bytes);
    check(TensorProto { int64_data: vec![-5], ..shaped(I64, &[1]) }, &(-5i64).to_le_bytes());
    check(TensorProto { uint64_data: vec![u64::MAX], ..shaped(U64, &[]) }, &[0xff; 8]);
    check(TensorProto { uint64_data: vec![7], ..shaped(U32, &[1]) }, &7u32.to_le_bytes());
}

#[test]
fn strings() {
    let proto = |data: &[&str], dims: &[i64]| TensorProto {
        string_data: data.iter().map(|text| Bytes::copy_from_slice(text.as_bytes())).collect(),
        ..shaped(DType::String, dims)
    };
    let model = reading(proto(&["a", "é"], &[2, 1])).unwrap();
    let Value::Strings(strings) = &**model.graph.constant(0).unwrap() else { panic!("strings") };
    assert_eq!((strings.shape.as_slice(), &*strings.data[1]), ([2, 1].as_slice(), "é"));
    invalid(reading(proto(&["a"], &[2])), &["1 strings"]);
    let broken = TensorProto { string_data: vec![vec![0xff].into()], ..shaped(DType::String, &[1]) };
    invalid(reading(broken), &["UTF-8"]);
    invalid(reading(raw("", 8, &[1], &[1])), &["string_data"]);
}

#[test]
fn empty_and_scalar_tensors() {
    assert_eq!(dense(shaped(DType::F32, &[0, 3])).shape(), [0, 3]);
    assert_eq!(dense(shaped(DType::I4, &[i64::MAX, 0])).bytes(), []);
    assert_eq!(dense(floats("", &[], &[2.5])).as_slice::<f32>().unwrap(), [2.5]);
    // An empty raw_data beside a typed field is how some writers spell an absent one.
    let both = TensorProto { raw_data: Some(Bytes::new()), ..floats("", &[1], &[1.0]) };
    assert_eq!(dense(both).as_slice::<f32>().unwrap(), [1.0]);
}

#[test]
fn tensors_that_do_not_add_up_are_refused() {
    invalid(reading(floats("", &[-1], &[1.0])), &["negative"]);
    invalid(reading(floats("", &[3], &[1.0])), &["1 entries", "takes 3"]);
    invalid(reading(shaped(DType::F32, &[1 << 40])), &["0 entries"]);
    refused(reading(shaped(DType::F32, &[1 << 62])), ErrorKind::ResourceLimit, &["too many"]);
    refused(reading(shaped(DType::U4, &[i64::MAX, i64::MAX])), ErrorKind::ResourceLimit, &["too many"]);
    invalid(reading(TensorProto::default()), &["data type"]);
    refused(reading(TensorProto { data_type: Some(99), ..floats("", &[1], &[1.0]) }), ErrorKind::Unsupported, &["99"]);
    invalid(reading(TensorProto { int64_data: vec![1], ..shaped(DType::F32, &[1]) }), &["float_data"]);
    invalid(reading(TensorProto { int64_data: vec![1], ..floats("", &[1], &[1.0]) }), &["float_data and int64_data"]);
    let segment = TensorProto { segment: Some(Segment::default()), ..floats("", &[1], &[1.0]) };
    refused(reading(segment), ErrorKind::Unsupported, &["segments"]);
}

fn sparse(dims: &[i64], values: TensorProto, index_dims: &[i64], indices: &[i64]) -> Result<Model> {
    let values = TensorProto { name: Some("w".into()), ..values };
    let indices = TensorProto { int64_data: indices.into(), ..shaped(DType::I64, index_dims) };
    let mut proto = graph(&[], vec![], &["w"]);
    proto.sparse_initializer =
        vec![SparseTensorProto { values: Some(values), indices: Some(indices), dims: dims.into() }];
    read_graph(proto)
}

#[test]
fn sparse_initializers_become_dense() {
    let two = || floats("", &[2], &[5.0, 6.0]);
    for (index_dims, indices) in [(&[2][..], &[1, 5][..]), (&[2, 2], &[0, 1, 1, 2])] {
        let model = sparse(&[2, 3], two(), index_dims, indices).unwrap();
        let tensor = model.graph.constant(0).unwrap().as_dense().unwrap().clone();
        assert_eq!(tensor.as_slice::<f32>().unwrap(), [0.0, 5.0, 0.0, 0.0, 0.0, 6.0]);
    }
    invalid(sparse(&[2, 3], two(), &[2], &[5, 1]), &["ascend", "sparse initializer 'w'"]);
    invalid(sparse(&[2, 3], two(), &[2], &[1, 1]), &["ascend"]);
    invalid(sparse(&[2, 3], two(), &[2], &[1, 6]), &["outside"]);
    invalid(sparse(&[2, 3], two(), &[2], &[-1, 1]), &["outside"]);
    invalid(sparse(&[2, 3], two(), &[2, 2], &[0, 1, 0, 3]), &["outside"]);
    invalid(sparse(&[2, 3], two(), &[3], &[0, 1, 2]), &["NNZ"]);
    invalid(sparse(&[2, 3], two(), &[2, 1], &[0, 1]), &["NNZ"]);
    invalid(sparse(&[0, i64::MAX, i64::MAX], two(), &[2, 3], &[0; 6]), &["outside"]);
}

#[test]
fn sparse_bombs_are_refused_before_they_are_allocated() {
    let one = || floats("", &[1], &[5.0]);
    refused(sparse(&[1 << 20, 1 << 20], one(), &[1], &[0]), ErrorKind::ResourceLimit, &["once dense"]);
    refused(sparse(&[i64::MAX, i64::MAX], one(), &[1], &[0]), ErrorKind::ResourceLimit, &["too many"]);
}

/// Raw data lie where the file has them; what a run hands on to kernels as a slice of its type must be aligned.
#[test]
fn constants_enter_a_run_aligned() {
    for padding in 0..8 {
        let nodes = vec![node("SequenceConstruct", &["w", "x"], &["s"]), node("SequenceAt", &["s", "first"], &["y"])];
        let mut proto = graph(&["x"], nodes, &["y"]);
        proto.name = Some("g".repeat(padding + 1));
        let data: Vec<u8> = [1.5f32, -2.5].into_iter().flat_map(f32::to_le_bytes).collect();
        proto.initializer = vec![raw("w", 1, &[1, 2], &data), raw("first", 7, &[], &0i64.to_le_bytes())];
        let session = Session::new(Source::Bytes(encode(&model(proto))), SessionOptions::default()).unwrap();
        let x = Tensor::from_slice(&[1, 2], &[0.0f32, 0.0]).unwrap();
        let outputs = session.run(vec![("x", Value::Dense(x))], RunOptions::default()).unwrap();
        assert_eq!(outputs[0].as_dense().unwrap().as_slice::<f32>().unwrap(), [1.5, -2.5], "padded by {padding}");
    }
}
