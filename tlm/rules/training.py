"""Inputs and parameters of the rules in train.smk and evaluate.smk: the run that wildcards name, and its stages."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from tlm import layout
from tlm.config.training import TokenizerSpec
from tlm.errors import TlmError
from tlm.layout import SHARED
from tlm.plan import runs, shared_artifacts
from tlm.plan.own_tasks import forecast_file
from tlm.plan.run_types import BaselineRun, EncoderRun, Run, as_encoder
from tlm.rules.base import RuleFunctions, as_json, exit_on_user_error, manifests


class TrainingRules(RuleFunctions):
    """Tokenizers, tokens, stage 1, stage 2 and evaluations."""

    def run(self, wildcards: Any) -> Run:
        """The run that `scale / task / variant / seed` names."""
        project = self.project.at(wildcards.scale)
        if wildcards.task == SHARED:
            return runs.resolve_pretraining(project, wildcards.variant)
        return runs.resolve(project, wildcards.task, wildcards.variant, int(wildcards.seed))

    def encoder_run(self, wildcards: Any) -> EncoderRun:
        """The run, if it trains an encoder. Raises TlmError otherwise."""
        return as_encoder(self.run(wildcards))

    @property
    def scales(self) -> str:
        """A regular expression of the scales whose runs can be built."""
        return "|".join(map(re.escape, self.project.runnable))

    def threads(self, wildcards: Any) -> int:
        """Threads of one training job at the run's scale."""
        return self.project.at(wildcards.scale).scale.threads

    def tokenizer(self, wildcards: Any) -> str:
        """The run's tokenizer."""
        return layout.TOKENIZER.manifest.format(tokenizer=self.encoder_run(wildcards).tokenizer)

    @cached_property
    def _tokenizers(self) -> dict[str, tuple[TokenizerSpec, str]]:
        return shared_artifacts.tokenizers(self.project)

    def _tokenizer(self, wildcards: Any) -> tuple[TokenizerSpec, str]:
        if wildcards.tokenizer not in self._tokenizers:
            raise TlmError(f"no tokenizer {wildcards.tokenizer!r}; there are {', '.join(self._tokenizers)}")
        return self._tokenizers[wildcards.tokenizer]

    def tokenizer_spec(self, wildcards: Any) -> str:
        """The specification of a tokenizer."""
        return as_json(self._tokenizer(wildcards)[0])

    def tokenizer_inputs(self, wildcards: Any) -> dict[str, str]:
        """The corpus that the tokenizer is trained on; none for a pretrained tokenizer."""
        spec, corpus = self._tokenizer(wildcards)
        return manifests({"corpus": None if spec.pretrained else layout.CORPUS.format(corpus=corpus)})

    def stored_length(self, wildcards: Any) -> int:
        """The largest number of tokens stored for a text."""
        return shared_artifacts.stored_length(self.project, wildcards.task)

    @exit_on_user_error
    def stage1_inputs(self, wildcards: Any) -> dict[str, str]:
        """Internal and external tokens, as far as this stage 1 reads them; the model that it continues from."""
        run = self.encoder_run(wildcards)
        internal = None if run.task == SHARED else run.internal_tokens
        return manifests(
            {"task_tokens": internal, "external_tokens": run.external_tokens, "start": run.start}
        )

    def own_stage1_options(self, wildcards: Any) -> str:
        """For your own task: the folder that keeps the state before the decay, and the forecast of the build."""
        if wildcards.scale not in self.project.own:
            return ""
        stable = layout.STABLE.format(**{name: getattr(wildcards, name) for name in layout.RUN.names})
        return f"--stable {stable} --forecast {forecast_file(self.project.folder, wildcards.scale)}"

    def stage1_spec(self, wildcards: Any) -> str:
        """The run without its stage 2, so that a change of stage 2 reruns stage 2 alone."""
        spec = self.encoder_run(wildcards).spec
        return as_json(spec.model_copy(update={"stage2": None}))

    def stage1_priority(self, wildcards: Any) -> int:
        """A pretraining starts first: it is the longest job, and many jobs wait for it."""
        return 10 if wildcards.task == SHARED else 0

    @exit_on_user_error
    def stage2_inputs(self, wildcards: Any) -> dict[str, str]:
        """The model of stage 1, unless the run starts from a checkpoint; and the task's tokens."""
        run = self.encoder_run(wildcards)
        return manifests({"stage1": run.stage1, "tokens": run.internal_tokens})

    def stage2_spec(self, wildcards: Any) -> str:
        """The specification of the whole run."""
        return as_json(self.encoder_run(wildcards).spec)

    @exit_on_user_error
    def released_inputs(self, wildcards: Any) -> dict[str, str]:
        """The authors' rows of the task, which name the classes of their classifier."""
        found = runs.released_of(self.project.at(wildcards.scale), wildcards.variant, wildcards.task)
        return {"rows": layout.SOURCE.manifest.format(source=found.rows)}

    @property
    def released_variants(self) -> str:
        """A regular expression of the variants whose models the paper's authors trained."""
        variants = self.project.experiments.variants.items()
        return "|".join(name for name, spec in variants if spec.method == runs.RELEASED) or "(?!)"

    @exit_on_user_error
    def evaluate_inputs(self, wildcards: Any) -> dict[str, str]:
        """The models that an evaluation reads, and the external data that the models have read."""
        run = self.encoder_run(wildcards)
        data = run.read_selection.folder if run.read_selection else None
        return manifests({"stage1": run.stage1, "pretraining": run.start, "stage2": run.stage2, "data": data})

    @exit_on_user_error
    def linear_spec(self, wildcards: Any) -> str:
        """The settings of a linear model."""
        run = self.run(wildcards)
        assert isinstance(run, BaselineRun)  # by the rule's wildcard constraint
        return as_json(run.spec)

    @property
    def linear_variants(self) -> str:
        """A regular expression of the variants that train no encoder."""
        variants = self.project.experiments.variants.items()
        return "|".join(name for name, spec in variants if not spec.trains_encoder) or "(?!)"
