"""Students that embed queries next to a teacher's documents, and how well they retrieve."""

from ntk_air.dynamics.embedding.matching import EmbeddingRun, match_teacher
from ntk_air.dynamics.embedding.retrieval import kendall_agreement, recall_at, scores

__all__ = ["EmbeddingRun", "kendall_agreement", "match_teacher", "recall_at", "scores"]
