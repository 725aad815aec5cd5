"""As much of Triton's `ModelConfig` as the engine model's configuration uses, for protobuf.

tritonclient has all of it, but its generated code wants a protobuf at least as new as the one it
was made with, and NVIDIA's image has its own. These few messages run with any; a test holds them
against tritonclient's.
"""

from functools import cache

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

_PACKAGE = "whisper_engine_build"
_DATA_TYPES = (
    "TYPE_INVALID TYPE_BOOL TYPE_UINT8 TYPE_UINT16 TYPE_UINT32 TYPE_UINT64 TYPE_INT8 TYPE_INT16 "
    "TYPE_INT32 TYPE_INT64 TYPE_FP16 TYPE_FP32 TYPE_FP64 TYPE_STRING TYPE_BF16"
)
_ENUMS = {"DataType": _DATA_TYPES.split(), "Kind": "KIND_AUTO KIND_GPU KIND_CPU KIND_MODEL".split()}
_MESSAGES = {
    "ModelTensorReshape": "shape:1:int64*",
    "ModelInput": "name:1:string data_type:2:DataType dims:4:int64* reshape:5:ModelTensorReshape "
    "allow_ragged_batch:7:bool optional:8:bool",
    "ModelOutput": "name:1:string data_type:2:DataType dims:3:int64* reshape:5:ModelTensorReshape",
    "ModelInstanceGroup": "count:2:int32 kind:4:Kind",
    "ModelQueuePolicy": "max_queue_size:4:uint32",
    "ModelDynamicBatching": "preferred_batch_size:1:int32* max_queue_delay_microseconds:2:uint64 "
    "default_queue_policy:6:ModelQueuePolicy",
    "ModelTransactionPolicy": "decoupled:1:bool",
    "ModelParameter": "string_value:1:string",
    "ParametersEntry": "key:1:string value:2:ModelParameter",
    "ModelConfig": "name:1:string max_batch_size:4:int32 input:5:ModelInput* output:6:ModelOutput* "
    "instance_group:7:ModelInstanceGroup* dynamic_batching:11:ModelDynamicBatching "
    "parameters:14:ParametersEntry* backend:17:string "
    "model_transaction_policy:19:ModelTransactionPolicy",
}
"""Fields as name:number:type, repeated ones with a star. A map is a list of entries."""
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("bool", "int32", "int64", "string", "uint32", "uint64")
}


def parse(text: str, strict: bool) -> Message:
    """A `ModelConfig` from the text of a config.pbtxt.

    Args:
        strict: refuse fields that are not here, which the engine model has no use for.

    Raises:
        text_format.ParseError: it is no such text.
    """
    return text_format.Parse(text, model_config()(), allow_unknown_field=not strict)


@cache
def model_config() -> type[Message]:
    """The class of `ModelConfig`."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{_PACKAGE}.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, values in _ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split():
            _add(message, *field.split(":"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName(f"{_PACKAGE}.ModelConfig")
    return message_factory.GetMessageClass(descriptor)


def _add(message: descriptor_pb2.DescriptorProto, name: str, number: str, kind: str) -> None:
    field = message.field.add(name=name, number=int(number))
    repeated, kind = kind.endswith("*"), kind.rstrip("*")
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type = field.TYPE_ENUM if kind in _ENUMS else field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{kind}"
