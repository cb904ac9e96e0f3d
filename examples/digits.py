"""Train a small convolutional network to read handwritten digits, from the raw pixels to a picture of the result.

    python examples/digits.py                     # trains, writes digits-output/digits.pt and digits.png
    python examples/digits.py --device cuda       # the same on another device
    python examples/digits.py --resume            # goes on where an interrupted run stopped, to the same result

The data are 1,797 real scans of 8 x 8 pixels (see flambeau.vision.datasets.Digits); nothing is downloaded.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flambeau as fb
from flambeau import nn
from flambeau.data import DataLoader
from flambeau.vision import datasets, transforms


class Net(nn.Module):
    """Three convolutions with batch normalisation, two poolings, one linear layer: 24,000 parameters."""

    def __init__(self, width: int = 16, dropout: float = 0.2) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *block(1, width),
            *block(width, 2 * width),
            nn.MaxPool2d(2),  # 8 x 8 -> 4 x 4
            *block(2 * width, 4 * width),
            nn.MaxPool2d(2),  # 4 x 4 -> 2 x 2
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(4 * width * 2 * 2, 10))

    def forward(self, x: fb.Tensor) -> fb.Tensor:
        """Logits [N, 10] of images [N, 1, 8, 8] with values from 0 to 1."""
        return self.classifier(self.features(x))


def block(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution that keeps the size, normalised."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


class UserError(Exception):
    """Something that the user can mend; shown without a traceback."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    p = argparse.ArgumentParser(description="Train a small convolutional network to read handwritten digits.")
    p.add_argument(
        "--device", default="cpu", help="where to compute: cpu, cuda, cuda:1, ... (default: %(default)s)"
    )
    p.add_argument(
        "--epochs", type=positive(int), default=20, help="passes over the data (default: %(default)s)"
    )
    p.add_argument(
        "--batch-size", type=positive(int), default=64, help="images per step (default: %(default)s)"
    )
    p.add_argument(
        "--lr", type=positive(float), default=1e-2, help="highest learning rate (default: %(default)s)"
    )
    p.add_argument(
        "--seed", type=int, default=0, help="the same seed gives the same losses (default: %(default)s)"
    )
    p.add_argument(
        "--out", type=Path, default=Path("digits-output"), help="output folder (default: %(default)s)"
    )
    p.add_argument("--threads", type=positive(int), help="threads to compute with (default: all cores)")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in the output folder")
    p.add_argument("--quick", action="store_true", help="two epochs only, to see that everything works")
    args = p.parse_args(argv)
    if args.quick:
        args.epochs = 2
    return args


def positive(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter for argparse that refuses zero, negative numbers, infinity and NaN."""

    def convert(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text} is not a positive number")
        return value

    convert.__name__ = f"positive {kind.__name__}"
    return convert


def open_device(name: str) -> fb.device:
    """The device, once something was computed on it."""
    try:
        device = fb.device(name)
        fb.ones(1, device=device).sum().item()
    except (RuntimeError, ImportError) as e:
        raise UserError(f"can't compute on device {name!r}: {e}") from e
    return device


def open_folder(folder: Path) -> None:
    """Make the output folder and try to write into it, before an hour of training has passed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as f:
            f.write(b"can be written")
    except OSError as e:
        raise UserError(
            f"can't write into the output folder {folder} ({e.strerror}); choose another one by --out"
        ) from e


def load_checkpoint(path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """A checkpoint that fits the command line."""
    try:
        state: dict[str, Any] = fb.load(path, map_location="cpu")
    except FileNotFoundError:
        raise UserError(f"there is no checkpoint {path} to resume from; start without --resume") from None
    except (OSError, RuntimeError, ValueError, EOFError) as e:
        raise UserError(f"can't read the checkpoint {path}: {e}") from e
    for name, value in settings(args).items():
        made_with = state.get("settings", {}).get(name)
        if made_with != value:
            raise UserError(
                f"{path} was made with {name}={made_with}, not {value}: a resumed run needs the same"
            )
    return state


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What a resumed run must have in common with the interrupted one."""
    return {"epochs": args.epochs, "batch_size": args.batch_size, "lr": args.lr, "seed": args.seed}


def evaluate(model: nn.Module, loader: DataLoader[Any], device: fb.device) -> tuple[float, float, fb.Tensor]:
    """Mean loss, accuracy, and the probabilities of all images."""
    model.eval()
    loss, correct, probabilities = 0.0, 0, []
    with fb.no_grad():
        for images, labels in loader:
            images, labels = images.to(device), labels.to(device)
            logits = model(images.float() / 16)
            loss += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
            correct += int((logits.argmax(1) == labels).sum().item())
            probabilities.append(logits.softmax(1).cpu())
    count = sum(len(p) for p in probabilities)
    return loss / count, correct / count, fb.cat(probabilities)


def train(args: argparse.Namespace, device: fb.device, progress: Any) -> tuple[dict[str, Any], fb.Tensor]:
    """Train, writing a checkpoint after each epoch; the history, and the probabilities of the test images."""
    fb.manual_seed(args.seed)
    training, test = datasets.Digits(train=True), datasets.Digits(train=False)
    batches = DataLoader(training, batch_size=args.batch_size, shuffle=True)
    test_batches = DataLoader(test, batch_size=512)
    augment = transforms.RandomShift(1)

    model = Net().to(device)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.05)
    optimizer = fb.optim.AdamW(model.parameters(), lr=args.lr)
    steps = args.epochs * len(batches)
    scheduler = fb.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=args.lr, total_steps=steps)
    history: dict[str, Any] = {
        "loss": [],
        "test_loss": [],
        "accuracy": [],
        "test_accuracy": [],
        "seconds": 0.0,
    }
    first = 0

    checkpoint = args.out / "digits.pt"
    if args.resume:
        state = load_checkpoint(checkpoint, args)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scheduler.load_state_dict(state["scheduler"])
        fb.set_rng_state(state["rng"])
        history, first = state["history"], state["epoch"]

    probabilities = fb.zeros(len(test), 10)
    if first == args.epochs:
        probabilities = evaluate(model, test_batches, device)[2]
    for epoch in range(first, args.epochs):
        started = time.perf_counter()
        model.train()
        correct = seen = 0
        title = f"epoch {epoch + 1:2}/{args.epochs}"
        with progress(total=len(training), desc=title, unit="image", unit_scale=True) as bar:
            for images, labels in batches:
                images, labels = augment(images.to(device).float() / 16), labels.to(device)
                logits = model(images)
                loss = criterion(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                scheduler.step()
                history["loss"].append(loss.item())
                correct += int((logits.argmax(1) == labels).sum().item())
                seen += len(labels)
                bar.set_postfix(
                    loss=f"{history['loss'][-1]:.3f}", accuracy=f"{correct / seen:.1%}", refresh=False
                )
                bar.update(len(labels))
            history["seconds"] += time.perf_counter() - started
            test_loss, test_accuracy, probabilities = evaluate(model, test_batches, device)
            mean = sum(history["loss"][-len(batches) :]) / len(batches)
            bar.set_postfix(
                loss=f"{mean:.3f}",
                accuracy=f"{correct / seen:.1%}",
                test_loss=f"{test_loss:.3f}",
                test_accuracy=f"{test_accuracy:.2%}",
            )
        history["accuracy"].append(correct / seen)
        history["test_loss"].append(test_loss)
        history["test_accuracy"].append(test_accuracy)
        state = {
            "epoch": epoch + 1,
            "settings": settings(args),
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "scheduler": scheduler.state_dict(),
            "rng": fb.get_rng_state(),
            "history": history,
        }
        try:
            fb.save(state, checkpoint)
        except OSError as e:
            raise UserError(f"can't write the checkpoint: {e}") from e
    return history, probabilities


def draw(path: Path, history: dict[str, Any], probabilities: fb.Tensor) -> None:
    """Draw the losses, the confusion matrix and the images that the network got most wrong."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    from matplotlib.figure import Figure

    test = datasets.Digits(train=False)
    labels: list[int] = test.targets.tolist()
    guesses: list[int] = probabilities.argmax(1).tolist()
    epochs = len(history["test_loss"])
    steps = len(history["loss"]) // epochs

    figure = Figure(figsize=(13, 7.5), layout="constrained")
    parts: Any = figure.subfigures(2, 1, height_ratios=[2.4, 1])
    upper, lower = parts
    left, right = upper.subplots(1, 2)
    at = [(k + 1) / steps for k in range(len(history["loss"]))]
    left.plot(at, history["loss"], color="0.75", linewidth=0.8, label="training loss per step")
    means = [sum(history["loss"][k * steps : (k + 1) * steps]) / steps for k in range(epochs)]
    left.plot(
        range(1, epochs + 1), means, color="tab:blue", marker=".", label="training loss (smoothed labels)"
    )
    left.plot(range(1, epochs + 1), history["test_loss"], color="tab:orange", marker=".", label="test loss")
    left.set(xlabel="epoch", ylabel="cross-entropy", ylim=(0, None), title="Losses")
    left.legend()

    confusion = [[0] * 10 for _ in range(10)]
    for label, guess in zip(labels, guesses, strict=True):
        confusion[label][guess] += 1
    right.imshow(confusion, cmap="Blues")
    for label in range(10):
        for guess in range(10):
            if count := confusion[label][guess]:
                color = "white" if label == guess else "tab:red"
                right.text(guess, label, str(count), ha="center", va="center", color=color)
    accuracy = history["test_accuracy"][-1]
    right.set(
        xlabel="read as",
        ylabel="is",
        title=f"Test set: {accuracy:.2%} right",
        xticks=range(10),
        yticks=range(10),
    )

    sure = [probabilities[k][label].item() for k, label in enumerate(labels)]
    worst = sorted(range(len(labels)), key=lambda k: sure[k])[:10]
    lower.suptitle("The images that were read worst")
    for k, axes in zip(worst, lower.subplots(1, len(worst)), strict=True):
        axes.imshow(test.data[k].tolist(), cmap="gray_r", vmin=0, vmax=16)
        axes.set_axis_off()
        wrong = guesses[k] != labels[k]
        chance = probabilities[k][guesses[k]].item()
        text = (
            f"{labels[k]} read as {guesses[k]}\n({chance:.0%} sure)"
            if wrong
            else f"{labels[k]}, only\n{chance:.0%} sure"
        )
        axes.set_title(text, fontsize=9, color="tab:red" if wrong else "black")

    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    unfinished = path.with_name(path.name + ".part")
    try:
        unfinished.write_bytes(picture.getvalue())
        unfinished.replace(path)
    except OSError as e:
        unfinished.unlink(missing_ok=True)
        raise UserError(f"can't write the picture {path} ({e.strerror})") from e


def main(argv: list[str] | None = None) -> int:
    """Run the program; the exit code."""
    args = arguments(argv)
    try:
        from tqdm import tqdm

        if args.threads:
            fb.set_num_threads(args.threads)
        device = open_device(args.device)
        open_folder(args.out)
        history, probabilities = train(args, device, tqdm)
        draw(args.out / "digits.png", history, probabilities)
    except ModuleNotFoundError as e:
        if e.name not in ("tqdm", "matplotlib"):
            raise
        print(f"digits.py: error: {e.name} is not installed: pip install tqdm matplotlib", file=sys.stderr)
        return 2
    except UserError as e:
        print(f"digits.py: error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("digits.py: stopped; --resume goes on from the last complete epoch", file=sys.stderr)
        return 130
    accuracy, seconds = history["test_accuracy"][-1], history["seconds"]
    images = args.epochs * len(datasets.Digits(train=True))
    print(
        f"test accuracy {accuracy:.2%} after {args.epochs} epochs on {device}, trained in {seconds:.1f} s "
        f"({images / seconds:,.0f} images/s); see {args.out / 'digits.png'}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
