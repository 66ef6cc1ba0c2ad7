"""Why a file or folder cannot be loaded as a model: a code with values, said in English or Russian.

A text that begins with a capital is a sentence of its own; the others follow "cannot be loaded: ". Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from webui.errors import LoadFailed

_DAMAGED, _DAMAGED_RU = "the header is damaged or hostile", "заголовок повреждён или подделан"
_RANGE = "{key} is {value}, and {low} to {high} are allowed"

REASONS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # What the file is instead
        "folder": ("it is a folder, not a file", "это папка, а не файл"),
        "unreadable": ("it cannot be read ({why})", "его не удаётся прочитать ({why})"),
        "empty": ("it is empty", "он пуст"),
        "lfs": (
            "it is a Git LFS pointer, not the model itself: download the real file",
            "это указатель Git LFS, а не сама модель: скачайте настоящий файл",
        ),
        "zip": (
            "it is a zip archive (perhaps a PyTorch pickle): only GGUF and safetensors are loaded",
            "это архив zip (возможно, pickle из PyTorch): загружаются только GGUF и safetensors",
        ),
        "pickle": (
            "it is a Python pickle: these can run code and are never loaded",
            "это pickle из Python: такие файлы могут выполнять код и никогда не загружаются",
        ),
        "ggml": (
            "it is in the old GGML format: get a GGUF version of it",
            "это старый формат GGML: найдите версию в GGUF",
        ),
        "gzip": ("it is a gzip archive: unpack it first", "это архив gzip: сначала распакуйте его"),
        "7z": ("it is a 7z archive: unpack it first", "это архив 7z: сначала распакуйте его"),
        "web_page": (
            "it is a web page, not a model: the download went wrong",
            "это веб-страница, а не модель: скачивание не удалось",
        ),
        "safetensors_name": (
            "it is a safetensors file under another name",
            "это файл safetensors под другим именем",
        ),
        "not_gguf": ("it is not a GGUF file", "это не файл GGUF"),
        "version_1": (
            "it is in GGUF version 1, which is no longer supported: get a newer file",
            "это GGUF версии 1, она больше не поддерживается: найдите файл поновее",
        ),
        "big_endian": (
            "it was written for a big-endian machine: get the usual (little-endian) file",
            "он записан для машин с порядком байтов big-endian: нужен обычный (little-endian) файл",
        ),
        "version": (
            "it has GGUF version {version}, and only 2 and 3 are known",
            "у него версия GGUF {version}, а известны только 2 и 3",
        ),
        # The header
        "cut_header": (
            "it ends in the middle of its header (at byte {size}): it is cut off or damaged",
            "он обрывается внутри заголовка (на байте {size}): он скачан не целиком или повреждён",
        ),
        "shrank": ("it became shorter while it was being read", "он стал короче, пока его читали"),
        "many_tensors": (
            f"it claims to hold {{count}} tensors: {_DAMAGED}",
            f"заявлено {{count}} тензоров: {_DAMAGED_RU}",
        ),
        "many_pairs": (
            f"it claims to hold {{count}} metadata entries: {_DAMAGED}",
            f"заявлено {{count}} записей метаданных: {_DAMAGED_RU}",
        ),
        "long_key": (
            f"a metadata key claims to be {{size}} bytes long: {_DAMAGED}",
            f"ключ метаданных заявлен длиной {{size}} байт: {_DAMAGED_RU}",
        ),
        "long_value": (
            f"{{key}} claims to be {{size}} bytes long: {_DAMAGED}",
            f"{{key}} заявлен длиной {{size}} байт: {_DAMAGED_RU}",
        ),
        "long_entry": (
            f"an entry of {{key}} claims to be {{size}} bytes long: {_DAMAGED}",
            f"элемент {{key}} заявлен длиной {{size}} байт: {_DAMAGED_RU}",
        ),
        "long_name": (
            f"a tensor name claims to be {{size}} bytes long: {_DAMAGED}",
            f"имя тензора заявлено длиной {{size}} байт: {_DAMAGED_RU}",
        ),
        "empty_key": ("a metadata key is empty", "ключ метаданных пуст"),
        "key_twice": ("the metadata key {key!r} appears twice", "ключ метаданных {key!r} встречается дважды"),
        "value_type": ("the value of {key!r} has the unknown type {type}", "у значения {key!r} неизвестный тип {type}"),
        "array_type": ("the array {key!r} has the unknown type {type}", "у массива {key!r} неизвестный тип {type}"),
        "nested_array": (
            "{key!r} is an array of arrays, which no engine reads",
            "{key!r} — массив массивов, такого не читает ни один движок",
        ),
        "long_array": (
            f"{{key!r}} claims to hold {{count}} values: {_DAMAGED}",
            f"{{key!r}} заявлен на {{count}} значений: {_DAMAGED_RU}",
        ),
        "alignment": (
            "its alignment is {value}, and only powers of two from 8 to 4096 are allowed",
            "выравнивание {value}, а допустимы только степени двойки от 8 до 4096",
        ),
        "tensor_twice": ("the tensor name {name!r} appears twice", "имя тензора {name!r} встречается дважды"),
        "dimensions": (
            "tensor {name!r} has {count} dimensions, and 1 to 4 are allowed",
            "у тензора {name!r} размерностей {count}, а допустимо от 1 до 4",
        ),
        "shape": ("tensor {name!r} has the impossible shape {shape}", "у тензора {name!r} невозможная форма {shape}"),
        "tensor_type": ("tensor {name!r} has the unknown type {type}", "у тензора {name!r} неизвестный тип {type}"),
        "blocks": (
            "the rows of tensor {name!r} are not whole blocks of {type}",
            "строки тензора {name!r} не состоят из целых блоков {type}",
        ),
        "unaligned": ("the offset of tensor {name!r} is not aligned", "смещение тензора {name!r} не выровнено"),
        "past_end": (
            "tensor {name!r} reaches {missing} bytes past the end: the file is cut off",
            "тензор {name!r} выходит за конец файла на {missing} байт: файл скачан не целиком",
        ),
        # The dimensions
        "no_architecture": (
            "it does not say which architecture it is (general.architecture)",
            "не указана архитектура (general.architecture)",
        ),
        "unknown_architecture": (
            "this version of llama.cpp does not know the architecture {architecture!r}: "
            "update the program or choose another model",
            "эта версия llama.cpp не знает архитектуру {architecture!r}: обновите программу или выберите другую модель",
        ),
        "makes_embeddings": (
            "a model of the kind {architecture!r} only makes embeddings: choose one that continues text",
            "модель вида {architecture!r} создаёт только эмбеддинги: выберите ту, что продолжает текст",
        ),
        "is_encoder": (
            "a model of the kind {architecture!r} has an encoder: choose one that only continues text",
            "у модели вида {architecture!r} есть энкодер: выберите ту, что только продолжает текст",
        ),
        "is_diffusion": (
            "{architecture!r} is a diffusion model: choose one that continues text word by word",
            "{architecture!r} — диффузионная модель: выберите ту, что продолжает текст слово за словом",
        ),
        "makes_sound": (
            "a model of the kind {architecture!r} makes sound: choose one that continues text",
            "модель вида {architecture!r} создаёт звук: выберите ту, что продолжает текст",
        ),
        "missing": ("{key} is missing", "нет значения {key}"),
        "range": (_RANGE, "{key} равно {value}, а допустимо от {low} до {high}"),
        "no_heads": ("{key} is missing or 0", "{key} отсутствует или равно 0"),
        "kv_heads": ("{key} is larger than the number of heads", "{key} больше числа голов"),
        "heads_divide": (
            "its embedding length {embedding} cannot be divided among {heads} heads",
            "размер эмбеддинга {embedding} не делится на {heads} голов",
        ),
        "few_values": ("{key} has {count} values for {layers} layers", "у {key} значений {count} на {layers} слоёв"),
        "no_size": ("{key} is {value}, which is no size", "{key} равно {value}, это не размер"),
        # Parts
        "split_names": (
            "it is one of {count} parts, and {found} fit its name (keep the names -00001-of-0000N as they were)",
            "это одна из {count} частей, а по имени подходит {found} (не меняйте имена -00001-of-0000N)",
        ),
        "parts_missing": (
            "{missing} of {count} parts are missing: {names}",
            "не хватает частей: {missing} из {count} ({names})",
        ),
        # Whole, but no model to load alone
        "lora": (
            "It is a LoRA: it is applied to a model, not loaded alone.",
            "Это LoRA: она применяется к модели, а не загружается сама.",
        ),
        "projector": (
            "It is the image part of a model (mmproj): it is not loaded alone.",
            "Это часть модели для изображений (mmproj): сама она не загружается.",
        ),
        "tokenizer": ("It holds a tokenizer only, no weights.", "Здесь только токенизатор, без весов."),
        "imatrix": (
            "It is an importance matrix, used to quantise; not a model.",
            "Это матрица важности для квантования, а не модель.",
        ),
        "not_imatrix": (
            "it is no importance matrix (general.type is not imatrix): choose another file",
            "это не матрица важности (general.type не imatrix): выберите другой файл",
        ),
        "imatrix_counts": (
            "the counts of {name} do not fit its sums: it is damaged",
            "счётчики {name} не подходят к его суммам: файл повреждён",
        ),
        "part": (
            "It is a later part of a split model: choose the first part.",
            "Это не первая часть разделённой модели: выберите первую.",
        ),
        # Folders
        "pickles": (
            "Its weights are Python pickles, which can run code and are never loaded: get a GGUF version.",
            "Веса здесь — pickle из Python: они могут выполнять код и никогда не загружаются. Найдите версию в GGUF.",
        ),
        "no_engine": (
            "It is a {format} model, and only GGUF is run here: get a GGUF version of it.",
            "Это модель {format}, а здесь работают только GGUF: найдите её версию в GGUF.",
        ),
        "config_only": ("It has a configuration but no weights.", "Есть конфигурация, но нет весов."),
        "no_config": ("It has weights but no readable config.json.", "Есть веса, но нет читаемого config.json."),
        "shards": ("Files are missing: {names}.", "Не хватает файлов: {names}."),
        "not_safetensors": (
            "it is not a safetensors file, or it is cut off",
            "это не файл safetensors, или он скачан не целиком",
        ),
        "tensor_place": ("tensor {name!r} has no place in it", "тензору {name!r} в нём нет места"),
        "tensor_end": (
            "tensor {name!r} reaches past the end: it is cut off or damaged",
            "тензор {name!r} выходит за конец файла: файл скачан не целиком или повреждён",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something cannot be loaded. The values fill the text's gaps."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)

    def text(self, language: str = "en") -> str:
        """The bare reason, to stand after a colon (or a sentence, for those that are one)."""
        return REASONS[self.code][1 if language == "ru" else 0].format(**self.values)

    def sentence(self, file: str, language: str = "en") -> str:
        """A whole sentence about `file`."""
        text = self.text(language)
        if text[0].isupper():
            return text
        return f"{file} нельзя загрузить: {text}." if language == "ru" else f"{file} cannot be loaded: {text}."


class BadModelFile(LoadFailed):
    """The file is not a model that can be loaded; `reason` says why, the message as a sentence if the file is known."""

    code = "bad_model_file"

    def __init__(self, reason: Reason, file: str = "", *, param: str | None = None) -> None:
        english, russian = (reason.sentence(file, lang) if file else reason.text(lang) for lang in ("en", "ru"))
        super().__init__(english, param=param, values={"file": file, "reason_ru": russian})
        self.reason = reason


def bad(code: str, **values: object) -> BadModelFile:
    """The error for a reason; who knows the file's name adds it."""
    return BadModelFile(Reason(code, values))
