"""The protobuf message in which NAS-Bench-101's files keep what a training run measured.

Described here at run time, so that no generated code has to fit the installed protobuf.  Names and numbers of
the fields are those of the benchmark's `model_metrics.proto`.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "nasbench"


def _message(
    file: descriptor_pb2.FileDescriptorProto, name: str, **types: _Field.Type.ValueType
) -> descriptor_pb2.DescriptorProto:
    """A message whose optional fields are numbered in the order they are given in."""
    message = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(types.items(), start=1):
        message.field.add(name=field, number=number, type=kind, label=_Field.LABEL_OPTIONAL)
    return message


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="model_metrics.proto", package=_PACKAGE, syntax="proto2")
    _message(
        file,
        "EvaluationData",
        current_epoch=_Field.TYPE_DOUBLE,
        training_time=_Field.TYPE_DOUBLE,
        train_accuracy=_Field.TYPE_DOUBLE,
        validation_accuracy=_Field.TYPE_DOUBLE,
        test_accuracy=_Field.TYPE_DOUBLE,
        checkpoint_path=_Field.TYPE_STRING,
    )
    metrics = _message(
        file,
        "ModelMetrics",
        evaluation_data=_Field.TYPE_MESSAGE,
        trainable_parameters=_Field.TYPE_INT32,
        total_time=_Field.TYPE_DOUBLE,
    )
    metrics.field[0].label = _Field.LABEL_REPEATED
    metrics.field[0].type_name = f".{_PACKAGE}.EvaluationData"
    return file


def _model_metrics() -> Any:
    # A pool of its own: the default one is shared with every other package, and names may clash there.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(_file().SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.ModelMetrics"))


# Its fields are known at run time only.
ModelMetrics: Any = _model_metrics()
