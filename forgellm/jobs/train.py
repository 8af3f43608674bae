"""A training run inside its worker: prepare the corpus, load the base, attach the adapter, train.

Everything that can be found wrong with the data is found before the model is loaded.
"""

from __future__ import annotations

import time
from pathlib import Path

import mlx.core as mx
import mlx.nn as nn
from mlx_lm.tuner.trainer import grad_checkpoint
from mlx_lm.utils import load_config

from forgellm.data.corpus import Corpus, build_corpus, load_corpus
from forgellm.data.token_cache import TokenCache
from forgellm.data.tokens import load_tokenizer
from forgellm.domain.errors import ResumeMismatch
from forgellm.domain.extent import sequence_length, total_iterations
from forgellm.domain.run_specs import spec_of
from forgellm.domain.runs import REFERENCE_PHASE
from forgellm.domain.spec import TrainingSpec
from forgellm.jobs.job import Job, Outcome, called_off
from forgellm.storage.adapters import adapter_files, check_continues, config_of, saved_config_of, write_config
from forgellm.storage.checkpoints import check_intact
from forgellm.storage.datasets import find_dataset
from forgellm.storage.models import ModelFolder, context_length, find_model, fingerprint, vocabulary_size
from forgellm.training.adapters import attach, check_precision, load_base, load_trainable, read_weights
from forgellm.training.gpu_memory import bound_memory
from forgellm.training.group import Group
from forgellm.training.loop import Plan, TrainingLoop
from forgellm.training.objective_of import order_of
from forgellm.training.output_layer import OutputLayer, Unproven, output_layer
from forgellm.training.packing import Packing, pack
from forgellm.training.pissa import begin_at_principal
from forgellm.training.reference import measure_reference
from forgellm.training.samples import Questions, end_tokens, questions
from forgellm.training.separation import decided
from forgellm.training.state import read_progress

_PERCENT = 5


class _CalledOff(Exception):
    """A pause or a stop came before the first iteration."""


class _Tokenising:
    """A large dataset takes minutes to tokenise: it is told how far that is, every few percent, and who asks
    for a stop does not wait for the end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._told: int | None = None

    def __call__(self, share: float) -> None:
        command = self._job.control()
        if command != "run":
            raise _CalledOff(command)
        step = int(100 * share) // _PERCENT
        if step != self._told:
            self._told = step
            self._job.log.append("phase", phase=f"tokenising {int(100 * share)} %", share=share)


def train(job: Job, group: Group | None = None) -> Outcome:
    """Run a `cpt` or `ift` run to its end, from its saved state where it has one; the others of a `group`
    share in every iteration."""
    try:
        return _train(job, group)
    except _CalledOff as called:
        return called_off(job.folder, job.log, command=str(called))


def _train(job: Job, group: Group | None) -> Outcome:
    spec = spec_of(job.run)
    base = find_model(job.workspace, job.hub_cache, spec.model_name)
    _check_base(job, base)
    _phase(job, "preparing data")
    corpus = _corpus(job, spec, base)
    asked = _questions(spec, base) if spec.sample_prompts else None
    _phase(job, "loading model")
    bound_memory(mx.device_info())
    model, _ = load_base(base.path)
    plan = _plan(job, spec, corpus, packing=_packing(job, spec, model, base, corpus=corpus))
    if spec.objective == "dpo":
        _measure_reference(job, plan, model)
    _attach(job, spec, model)
    layer = output_layer(model)
    _announce(job, plan, layer)
    # What an iteration takes is to be told, and not what trying the model took.
    mx.reset_peak_memory()
    loop = TrainingLoop(
        plan,
        model,
        emit=job.log.append,
        control=job.control,
        monotonic=time.perf_counter,
        compiled=mx.default_device() == mx.gpu,
        asked=asked,
        group=group,
        layer=layer,
    )
    ending = loop.run()
    return Outcome(ending.type, ending.values)


def _check_base(job: Job, base: ModelFolder) -> None:
    if job.run.base_fingerprint not in (None, fingerprint(base.path)):
        raise ResumeMismatch(
            f"the base model {base.name} changed since the run was created",
            details={"model": base.name},
            suggestion="Put the original model back, or start a new run.",
        )


def _phase(job: Job, name: str) -> None:
    job.log.append("phase", phase=name)


def _corpus(job: Job, spec: TrainingSpec, base: ModelFolder) -> Corpus:
    """The run's corpus: built once, kept in its folder, the same after every resume."""
    folder = job.folder / "corpus"
    if (folder / "corpus.json").exists():
        return load_corpus(folder)
    general = find_dataset(job.workspace, spec.general_dataset) if spec.general_dataset else None
    corpus = build_corpus(
        folder,
        spec=spec,
        max_seq_length=sequence_length(spec, context_length(base.config)),
        dataset=find_dataset(job.workspace, spec.dataset),
        general=general,
        tokenizer=load_tokenizer(base.path),
        vocab_size=vocabulary_size(base.config),
        cache=TokenCache(job.workspace.tokens, attend=_Tokenising(job)),
    )
    job.log.append("corpus", **corpus.summary)
    return corpus


def _questions(spec: TrainingSpec, base: ModelFolder) -> Questions:
    """The sample prompts in the form that the run trains."""
    return questions(
        load_tokenizer(base.path),
        spec.sample_prompts,
        as_chat=spec.training_type == "ift",
        # As it is loaded to answer: generation_config.json may name more ends.
        ends=set(end_tokens(load_config(base.path))),
        longest=sequence_length(spec, context_length(base.config)),
    )


def _attend(job: Job) -> None:
    """What comes before the first iteration may take minutes: who asks for a stop does not wait for that."""
    command = job.control()
    if command != "run":
        raise _CalledOff(command)


def _measure_reference(job: Job, plan: Plan, base: nn.Module) -> None:
    """What the base gives to the answers that will be compared, for as many iterations as there are."""
    _phase(job, REFERENCE_PHASE)
    measure_reference(
        plan.folder,
        base,
        plan.corpus,
        order=plan.order,
        batches=plan.total * plan.spec.grad_accumulation_steps,
        rows=plan.spec.batch_size,
        attend=lambda: _attend(job),
    )


def _attach(job: Job, spec: TrainingSpec, model: nn.Module) -> None:
    """Attach what learns to the base: fresh, or the adapter the spec starts from."""
    mx.random.seed(spec.seed)
    attach(model, config_of(spec))
    if spec.lora_init == "pissa":
        _phase(job, "finding principal factors")
        begin_at_principal(model, job.folder, attend=lambda: _attend(job))
    check_precision(model, spec.optimizer)
    if spec.start_from is not None and read_progress(job.folder) is None:
        _start_from(model, job.workspace.resolve(spec.start_from), spec)
    if spec.grad_checkpoint:
        grad_checkpoint(model.layers[0])
    write_config(job.folder, saved_config_of(spec))


def _start_from(model: nn.Module, path: Path, spec: TrainingSpec) -> None:
    """Load the weights of another run's checkpoint, whose form must be the one this spec trains."""
    folder, weights = adapter_files(path)
    check_continues(folder, spec)
    check_intact(weights)
    load_trainable(model, read_weights(weights), source=weights.name)


def _packing(
    job: Job, spec: TrainingSpec, model: nn.Module, base: ModelFolder, *, corpus: Corpus
) -> Packing | None:
    """How sequences share rows, where they are to and the model lets them; else it is said why not."""
    if spec.packing is None:
        return None
    _phase(job, "trying whether sequences can share rows")
    found = decided(job.folder, model, width=spec.packing, vocabulary=vocabulary_size(base.config))
    if not found.exact:
        why = f"no sequences share rows, because this model cannot be packed: {found.reason}"
        job.log.append("phase", phase=why, packed=False)
        return None
    packing = pack(corpus.train.lengths, found.width, seed=spec.seed)
    said = f"{len(corpus.train):,} sequences share {len(packing):,} rows of up to {found.width} tokens"
    job.log.append("phase", phase=said, packed=True, rows=len(packing), proof=found.reason)
    return packing


def _plan(job: Job, spec: TrainingSpec, corpus: Corpus, *, packing: Packing | None) -> Plan:
    order = order_of(spec, corpus, packing)
    total = total_iterations(spec, order.batches_per_epoch)
    return Plan(job.folder, spec, corpus, order, total, job.run.base_fingerprint or "", packing)


def _announce(job: Job, plan: Plan, layer: OutputLayer | Unproven) -> None:
    """Say where training begins; after a resume the iterations behind it are about to be repeated.

    `whole_logits` says why the losses cannot do without; None where they can.
    """
    progress = read_progress(job.folder)
    if job.resumed:
        job.log.append("resumed", iteration=progress.iteration if progress else 0)
    job.log.append(
        "phase",
        phase="training",
        total_iterations=plan.total,
        eval_every=plan.spec.eval_every,
        save_every=plan.spec.save_every,
        batches_per_epoch=plan.order.batches_per_epoch,
        device=str(mx.default_device()),
        whole_logits=_why_whole(plan.spec, layer),
    )


def _why_whole(spec: TrainingSpec, layer: OutputLayer | Unproven) -> str | None:
    if isinstance(layer, Unproven):
        return layer.reason
    return "preferences train the output layer" if spec.objective == "dpo" and layer.learns else None
