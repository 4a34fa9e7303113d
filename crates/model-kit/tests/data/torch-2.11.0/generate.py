"""Golden numbers for `parity_training.rs`: losses, their gradients, learning rates and optimiser steps of PyTorch 2.11.0.

    pip install torch==2.11.0 && python generate.py

The losses are written out below by PyTorch's operations, from their papers; gradients are autograd's, in float64.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F

assert torch.__version__.startswith("2.11.0")
torch.set_default_dtype(torch.float64)
BATCH, CLASSES = 6, 4


def single(tensor):
    """Rounded to what float32 holds, so that both sides see the same numbers."""
    return tensor.to(torch.float32).to(torch.float64)


def focal(logits, targets, weights, gamma):
    logarithms = F.log_softmax(logits, 1)
    losses = -((1 - logarithms.exp()) ** gamma) * logarithms
    return ((weights * targets * losses).sum(1)).sum() / (weights * targets).sum()


def squared_hinge(logits, targets, weights):
    losses = []
    for row, target in zip(logits, targets):
        for c in range(CLASSES):
            signs = -torch.ones(CLASSES)
            signs[c] = 1
            losses.append(weights[c] * target[c] * F.relu(1 - signs * row).square().sum())
    return sum(losses) / (weights * targets).sum()


def distillation(logits, targets, weights, teacher, temperature, alpha):
    hard = -(weights * targets * F.log_softmax(logits, 1)).sum() / (weights * targets).sum()
    student, soft = F.log_softmax(logits / temperature, 1), F.softmax(teacher / temperature, 1)
    return (1 - alpha) * hard + alpha * temperature**2 * F.kl_div(student, soft, reduction="batchmean")


def losses():
    torch.manual_seed(3)
    logits = single(2 * torch.randn(BATCH, CLASSES))
    teacher = single(3 * torch.randn(BATCH, CLASSES))
    hard = F.one_hot(torch.tensor([0, 1, 2, 3, 1, 1]), CLASSES).to(torch.float64)
    soft = single(torch.softmax(torch.randn(BATCH, CLASSES), 1))
    even, uneven = torch.ones(CLASSES), single(torch.tensor([0.5, 1.0, 2.0, 3.5]))
    cases = []
    for targets in (hard, soft):
        for weights in (even, uneven):
            functions = {
                "cross_entropy": lambda x: F.cross_entropy(x, targets) if weights is even else focal(x, targets, weights, 0),
                "focal_0.5": lambda x: focal(x, targets, weights, 0.5),
                "focal_2": lambda x: focal(x, targets, weights, 2.0),
                "squared_hinge": lambda x: squared_hinge(x, targets, weights),
                "distillation": lambda x: distillation(x, targets, weights, teacher, 3.0, 0.6),
            }
            for name, function in functions.items():
                x = logits.clone().requires_grad_()
                value = function(x)
                value.backward()
                cases.append(
                    {
                        "loss": name,
                        "targets": targets.flatten().tolist(),
                        "weights": [] if weights is even else weights.tolist(),
                        "value": value.item(),
                        "gradient": x.grad.flatten().tolist(),
                    }
                )
    return {"logits": logits.flatten().tolist(), "teacher": teacher.flatten().tolist(), "cases": cases}


def cycles():
    cases = []
    for total, settings in [
        (100, dict()),
        (37, dict(pct_start=0.4, div_factor=10.0, final_div_factor=100.0)),
        (50, dict(anneal_strategy="linear", pct_start=0.25)),
        (60, dict(three_phase=True, base_momentum=0.8, max_momentum=0.9)),
        (45, dict(three_phase=True, anneal_strategy="linear")),
    ]:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=total, **settings)
        rates, momenta = [], []
        for _ in range(total):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if len(rates) < total:
                schedule.step()
        cases.append({"total": total, "settings": settings, "rates": rates, "momenta": momenta})
    return cases


def problem(weight, bias, step):
    """A loss with another gradient at every step."""
    x = torch.linspace(-1, 1, 12).reshape(4, 3) * (1 + step)
    return ((x @ weight.T + bias).tanh() - torch.tensor([0.3, -0.8])).square().sum()


def optimizers():
    """Six steps each; as in the crate, biases do not decay. `sam` is the radius of Foret et al. 2021."""
    makers = {
        "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True),
        "adam": lambda groups: torch.optim.Adam(groups, lr=0.05),
        "adam_w": lambda groups: torch.optim.AdamW(groups, lr=0.05),
        "rms_prop": lambda groups: torch.optim.RMSprop(groups, lr=0.05, alpha=0.9, eps=1e-7),
    }
    cases = []
    for name, maker in makers.items():
        for sam in (0.0, 0.1):
            weight = single(torch.linspace(-0.5, 0.7, 6).reshape(2, 3)).requires_grad_()
            bias = single(torch.tensor([0.1, -0.2])).requires_grad_()
            parameters = [weight, bias]
            optimizer = maker([{"params": [weight], "weight_decay": 0.1}, {"params": [bias], "weight_decay": 0.0}])
            for step in range(6):
                optimizer.zero_grad()
                problem(weight, bias, step).backward()
                if sam:
                    with torch.no_grad():
                        norm = torch.stack([p.grad.norm() for p in parameters]).norm()
                        moves = [sam * p.grad / (norm + 1e-12) for p in parameters]
                        for p, move in zip(parameters, moves):
                            p.add_(move)
                    optimizer.zero_grad()
                    problem(weight, bias, step).backward()
                    with torch.no_grad():
                        for p, move in zip(parameters, moves):
                            p.sub_(move)
                optimizer.step()
            cases.append(
                {"optimizer": name, "sam": sam, "weight": weight.flatten().tolist(), "bias": bias.tolist()}
            )
    return cases


path = Path(__file__).parent / "training.json"
path.write_text(json.dumps({"losses": losses(), "cycles": cycles(), "optimizers": optimizers()}) + "\n")
