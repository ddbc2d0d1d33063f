"""Papers that claims come from: who is cited by whom, and their BibTeX entries."""

import dataclasses
import unicodedata
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Paper:
    """A paper that claims cite as "Arora et al. 2019".

    Attributes:
        authors: names as BibTeX has them, "Surname, First and Surname, First".
        year: year by which claims cite it.
        title: title.
        arxiv: number on arXiv; empty where it is not there.
        published: journal with volume and pages, where it is not on arXiv.
    """

    authors: str
    year: int
    title: str
    arxiv: str = ""
    published: str = ""

    @property
    def surname(self) -> str:
        """The first author's surname."""
        return self.authors.partition(",")[0]

    @property
    def theory(self) -> str:
        """The name of the theory: the first author's surname in small letters."""
        plain = unicodedata.normalize("NFKD", self.surname)
        return "".join(letter for letter in plain if letter.isalpha()).lower()

    def is_cited_in(self, source: str) -> bool:
        """Whether a claim's source, citations parted by semicolons, cites it."""
        return any(
            citation.strip().startswith(self.surname) and f" {self.year}" in citation
            for citation in source.split(";")
        )

    def bibtex(self) -> str:
        """The entry, under the key surname and year."""
        place = (
            f"eprint = {{{self.arxiv}}},\n  archiveprefix = {{arXiv}}"
            if self.arxiv
            else f"journal = {{{self.published}}}"
        )
        return (
            f"@{'misc' if self.arxiv else 'article'}{{{self.theory}{self.year},\n"
            f"  author = {{{self.authors}}},\n  title = {{{{{self.title}}}}},\n"
            f"  year = {{{self.year}}},\n  {place},\n}}"
        )


PAPERS = (
    Paper(
        "Dong, Bin and Hou, Jikai and Lu, Yiping and Zhang, Zhihua",
        2019,
        "Distillation ≈ Early Stopping? Harvesting Dark Knowledge Utilizing Anisotropic "
        "Information Retrieval For Overparameterized Neural Network",
        "1910.01255",
    ),
    Paper(
        "Jacot, Arthur and Gabriel, Franck and Hongler, Clément",
        2018,
        "Neural Tangent Kernel: Convergence and Generalization in Neural Networks",
        "1806.07572",
    ),
    Paper(
        "Lee, Jaehoon and Xiao, Lechao and Schoenholz, Samuel S. and Bahri, Yasaman and "
        "Novak, Roman and Sohl-Dickstein, Jascha and Pennington, Jeffrey",
        2019,
        "Wide Neural Networks of Any Depth Evolve as Linear Models Under Gradient Descent",
        "1902.06720",
    ),
    Paper(
        "Li, Mingchen and Soltanolkotabi, Mahdi and Oymak, Samet",
        2019,
        "Gradient Descent with Early Stopping is Provably Robust to Label Noise for "
        "Overparameterized Neural Networks",
        "1903.11680",
    ),
    Paper(
        "Craven, Peter and Wahba, Grace",
        1979,
        "Smoothing noisy data with spline functions",
        published="Numerische Mathematik 31, 377–403",
    ),
    Paper(
        "Mobahi, Hossein and Farajtabar, Mehrdad and Bartlett, Peter L.",
        2020,
        "Self-Distillation Amplifies Regularization in Hilbert Space",
        "2002.05715",
    ),
    Paper(
        "Borup, Kenneth and Andersen, Lars N.",
        2021,
        "Even your Teacher Needs Guidance: Ground-Truth Targets Dampen Regularization Imposed "
        "by Self-Distillation",
        "2102.13088",
    ),
    Paper(
        "Dang, Hien and Patil, Pratik and Rinaldo, Alessandro",
        2026,
        "Optimal Unconstrained Self-Distillation in Ridge Regression: Strict Improvements, "
        "Precise Asymptotics, and One-Shot Tuning",
        "2602.17565",
    ),
    Paper(
        "Medvedev, Marko and Lyu, Kaifeng and Yu, Dingli and Arora, Sanjeev and Li, Zhiyuan and "
        "Srebro, Nathan",
        2025,
        "Weak-to-Strong Generalization Even in Random Feature Networks, Provably",
        "2503.02877",
    ),
    Paper(
        "Kim, Seungyeon and Rawat, Ankit Singh and Zaheer, Manzil and Jayasumana, Sadeep and "
        "Sadhanala, Veeranjaneyulu and Jitkrittum, Wittawat and Menon, Aditya Krishna and "
        "Fergus, Rob and Kumar, Sanjiv",
        2023,
        "EmbedDistill: A Geometric Knowledge Distillation for Information Retrieval",
        "2301.12005",
    ),
    Paper(
        "Jafari, Aref and Rezagholizadeh, Mehdi and Ghodsi, Ali",
        2023,
        "Improved knowledge distillation by utilizing backward pass knowledge in neural networks",
        "2301.12006",
    ),
    Paper(
        "Simon, James B. and Dickens, Madeline and Karkada, Dhruva and DeWeese, Michael R.",
        2023,
        "The Eigenlearning Framework: A Conservation Law Perspective on Kernel Regression and "
        "Wide Neural Networks",
        "2110.03922",
    ),
    Paper(
        "Canatar, Abdulkadir and Bordelon, Blake and Pehlevan, Cengiz",
        2021,
        "Spectral bias and task-model alignment explain generalization in kernel regression and "
        "infinitely wide neural networks",
        "2006.13198",
    ),
    Paper(
        "Basri, Ronen and Jacobs, David and Kasten, Yoni and Kritchman, Shira",
        2019,
        "The Convergence Rate of Neural Networks for Learned Functions of Different Frequencies",
        "1906.00425",
    ),
    Paper(
        "Basri, Ronen and Galun, Meirav and Geifman, Amnon and Jacobs, David and Kasten, Yoni and "
        "Kritchman, Shira",
        2020,
        "Frequency Bias in Neural Networks for Input of Non-Uniform Density",
        "2003.04560",
    ),
    Paper(
        "Ildiz, M. Emrullah and Gozeten, Halil Alperen and Taga, Ege Onur and Mondelli, Marco and "
        "Oymak, Samet",
        2024,
        "High-dimensional Analysis of Knowledge Distillation: Weak-to-Strong Generalization and "
        "Scaling Laws",
        "2410.18837",
    ),
    Paper(
        "Bietti, Alberto and Bach, Francis",
        2021,
        "Deep Equals Shallow for ReLU Networks in Kernel Regimes",
        "2009.14397",
    ),
    Paper(
        "Jeong, Hyeonsu and Chung, Hye Won",
        2025,
        "Rethinking Self-Distillation: Label Averaging and Enhanced Soft Label Refinement with "
        "Partial Labels",
        "2402.10482",
    ),
    Paper(
        "Arora, Sanjeev and Du, Simon S. and Hu, Wei and Li, Zhiyuan and Wang, Ruosong",
        2019,
        "Fine-Grained Analysis of Optimization and Generalization for Overparameterized "
        "Two-Layer Neural Networks",
        "1901.08584",
    ),
    Paper(
        "Xu, Mingyue and Vardi, Gal and Safran, Itay",
        2026,
        "To Grok Grokking: Provable Grokking in Ridge Regression",
        "2601.19791",
    ),
    Paper(
        "Pareek, Divyansh and Du, Simon S. and Oh, Sewoong",
        2024,
        "Understanding the Gains from Repeated Self-Distillation",
        "2407.04600",
    ),
    Paper(
        "Hu, Wei and Li, Zhiyuan and Yu, Dingli",
        2020,
        "Simple and Effective Regularization Methods for Training on Noisily Labeled Data with "
        "Generalization Guarantee",
        "1905.11368",
    ),
    Paper(
        "Phuong, Mary and Lampert, Christoph H.",
        2019,
        "Towards Understanding Knowledge Distillation",
        "2105.13093",
    ),
    Paper(
        "Ji, Guangda and Zhu, Zhanxing",
        2020,
        "Knowledge Distillation in Wide Neural Networks: Risk Bound, Data Efficiency and "
        "Imperfect Teacher",
        "2010.10090",
    ),
    Paper(
        "Kuzborskij, Ilja and Szepesvári, Csaba",
        2021,
        "Nonparametric Regression with Shallow Overparameterized Neural Networks Trained by GD "
        "with Early Stopping",
        "2107.05341",
    ),
    Paper(
        "Litman, Elon and Guo, Gabe",
        2026,
        "A Theory of Generalization in Deep Learning",
        "2605.01172",
    ),
    Paper(
        "Takanami, Kaito and Takahashi, Takashi and Sakata, Ayaka",
        2025,
        "The Effect of Optimal Self-Distillation in Noisy Gaussian Mixture Model",
        "2501.16226",
    ),
    Paper(
        "Wu, Mingqi and Yang, Archer Y. and Sun, Qiang",
        2026,
        "Why Self-Training Helps and Hurts: Denoising vs. Signal Forgetting",
        "2602.14029",
    ),
)


def papers_of(sources: Iterable[str]) -> list[Paper]:
    """The papers that any of the claims' sources cites, in the order of ``PAPERS``."""
    sources = list(sources)
    return [paper for paper in PAPERS if any(map(paper.is_cited_in, sources))]
