"""The lengths of OpenAI's embeddings (1536, 3072) where code or a vector store is made for them."""

from __future__ import annotations

import re

import libcst as cst

from vllm_connect.migrate.codemod import Codemod, Sheet
from vllm_connect.migrate.exports import dotted_name
from vllm_connect.migrate.finding import Severity
from vllm_connect.migrate.rule import Rule
from vllm_connect.migrate.trails import text_of

__all__ = ["Dimensions"]

DIMENSION = Rule(
    "embedding-dimension",
    "The length of OpenAI's embeddings",
    Severity.CHANGES_OUTPUT,
    "vectors of another model have another length, and mean something else: what was indexed cannot be searched with them",
    "Take the length from one embedding of the new model, make the index anew, and embed all documents again.",
)

LENGTHS = {"1536": "text-embedding-3-small and ada-002", "3072": "text-embedding-3-large"}
# Names of what holds the length of a vector.
HOLDERS = re.compile(
    r"n?_?dims?|dimensions?|dimensionality"
    r"|\w*(?:embed|vec|index|openai|ada)\w*_(?:dims?|dimensions?|dimensionality|size|len|length)|(?:embed|vector)_?(?:size|dim)s?"
    r"|(?:embedding|vector)_?(?:size|dims?|dimensions?)|dims?_?(?:of_)?(?:embed|vec)\w*",
    re.IGNORECASE,
)
# Functions and classes of vector stores that are given one: by its place, or as `size=`.
STORES = re.compile(
    r"Index(?:Flat\w*|HNSW\w*|IVF\w*|LSH|PQ)|index_factory|AnnoyIndex|Vector|VECTOR|HalfVec\w*|HALFVEC|VectorParams|VectorConfig"
    r"|VectorField|DenseVector|create_index|FieldSchema|hnsw_index|Index"
)
SQL = re.compile(r"\b(?:half)?vec(?:tor)?\s*\(\s*(1536|3072)\s*\)", re.IGNORECASE)
# Without one of these a number is that of something else.
ABOUT = re.compile(
    r"openai|text-embedding|pgvector|pinecone|faiss|qdrant|milvus|chroma|weaviate|lancedb|redisvl|annoy|hnswlib|opensearch"
    r"|elasticsearch",
    re.IGNORECASE,
)


class Dimensions(Codemod):
    """Constants, defaults, arguments, columns; nothing is rewritten."""

    rules = (DIMENSION,)
    words = tuple(LENGTHS)

    def __init__(self, sheet: Sheet) -> None:
        super().__init__(sheet)
        self._is_about = ABOUT.search(sheet.module.code) is not None

    def visit_Arg(self, node: cst.Arg) -> None:
        if node.keyword is not None:
            self._look(node.keyword.value, node.value)

    def visit_Param(self, node: cst.Param) -> None:
        self._look(node.name.value, node.default)

    def visit_Assign(self, node: cst.Assign) -> None:
        for one in node.targets:
            self._look(dotted_name(one.target).rpartition(".")[2], node.value)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._look(dotted_name(node.target).rpartition(".")[2], node.value)

    def visit_DictElement(self, node: cst.DictElement) -> None:
        self._look(text_of(node.key) or "", node.value)
        if text_of(node.key) and str(text_of(node.key)).startswith("text-embedding-"):
            self._look("dimension", node.value)

    def visit_Call(self, node: cst.Call) -> None:
        if STORES.fullmatch(dotted_name(node.func).rpartition(".")[2]):
            for one in node.args:
                if one.keyword is None or one.keyword.value == "size":
                    self._say(one.value)

    def visit_Comparison(self, node: cst.Comparison) -> None:
        """`len(embedding) == 1536`."""
        sides = [node.left, *(one.comparator for one in node.comparisons)]
        measured = [one.args[0].value for one in sides if isinstance(one, cst.Call) and len(one.args) == 1]
        if any(re.search(r"embed|vec", self.sheet.module.code_for_node(one)) for one in measured):
            for one in sides:
                self._say(one)

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        if self._is_about and SQL.search(node.value):
            self.left(node, DIMENSION, f"a column of vectors has OpenAI's length here: {DIMENSION.why}")

    def _look(self, name: str, value: cst.BaseExpression | None) -> None:
        if value is not None and HOLDERS.fullmatch(name):
            self._say(value)

    def _say(self, node: cst.CSTNode) -> None:
        if self._is_about and isinstance(node, cst.Integer) and node.value in LENGTHS:
            self.left(
                node, DIMENSION, f"{node.value} is the length of {LENGTHS[node.value]}: {DIMENSION.why}"
            )
