"""What ForgeLLM is called, needs and carries. Tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "forgellm/__init__.py").read_text(), re.M)
assert VERSION is not None

# Folders that people look for at the top of a checkout; in the wheel they lie inside the package.
# forgellm.settings.packaged() finds them in either place.
TOP_LEVEL = ("dataset", "static", "templates")

# What is asked for by name where a file needs it.
# Since 1.11 mammoth opens no file that a Word file names elsewhere on the disk.
DOCUMENTS = ("mammoth>=1.11,<2", "pypdf>=6,<8")
PARQUET = ("pyarrow>=18,<27",)

setup(
    name="forgellm",
    version=VERSION[1],
    description="Train language models on your own documents, rank their checkpoints, publish the best.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="ForgeLLM contributors",
    license="MIT",
    license_files=["LICENSE"],
    # mlx itself still takes 3.10, mlx-lm 0.32 does not; older mlx-lm runs code found in model folders.
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["forgellm", "forgellm.*"]),
        *(f"forgellm.{name}" for name in TOP_LEVEL),
    ],
    package_dir={f"forgellm.{name}": name for name in TOP_LEVEL},
    package_data={
        "forgellm": ["py.typed", "assets/**/*"],
        **{f"forgellm.{name}": ["**/*"] for name in TOP_LEVEL},
    },
    include_package_data=False,
    zip_safe=False,
    entry_points={"console_scripts": ["forgellm = forgellm.cli.main:main"]},
    install_requires=[
        'mlx>=0.32,<0.33; sys_platform == "darwin"',
        'mlx[cpu]>=0.32,<0.33; sys_platform == "linux"',
        "mlx-lm>=0.32,<0.33",
        "chardet>=7.6,<8",
        "click>=8.1,<9",
        "flask>=3.1,<4",
        # For the scripts of Swagger UI and Redoc, which they carry. Redoc 3 reports to its maker.
        "flask-openapi-redoc>=2.5,<3",
        "flask-openapi-swagger>=5.30,<6",
        "flask-socketio>=5.5,<6",
        "gguf>=0.19,<1",
        "huggingface_hub>=1,<3",
        "llguidance>=1,<2",
        "matplotlib>=3.9,<4",
        "numpy>=2,<3",
        "psutil>=6,<8",
        "pydantic>=2.10,<3",
        "pyyaml>=6,<7",
        "rensa>=0.5,<0.6",
        "rich>=13,<16",
        "sacrebleu>=2.5,<3",
        "safetensors>=0.5,<1",
        "selectolax>=0.4,<2",
        "simple-websocket>=1.1,<2",
        "tokenizers>=0.22,<1",
        "transformers>=5.7,<6",
        "werkzeug>=3.1,<4",
    ],
    extras_require={
        # mlx-cpu and mlx-cuda-13 own the same file, mlx/lib/libmlx.so, and pip writes mlx-cpu's last: after
        # installing this extra, `pip install --force-reinstall --no-deps mlx-cuda-13` puts the GPU's back.
        "cuda": ['mlx[cuda13]>=0.32,<0.33; sys_platform == "linux"'],
        "documents": [*DOCUMENTS],
        # What mlx_lm.evaluate asks with: no torch, yet 440 MB with pandas, scipy and others. Tables, which
        # nothing here has it print, it prints with packages that want an older chardet: with mbstrdecoder
        # below 1 pip finds versions that take ours at once.
        "lm-eval": ["lm-eval>=0.4.10,<0.5", "mbstrdecoder<1"],
        "parquet": [*PARQUET],
        "test": [
            *DOCUMENTS,
            *PARQUET,
            "axe-playwright-python>=0.1.6,<0.2",
            "build>=1.2,<2",
            "hypothesis>=6.100,<7",
            "import-linter>=2.5,<3",
            "mypy>=2.4,<2.5",
            "openai>=2,<4",
            "playwright>=1.50,<2",
            "pytest>=8,<10",
            "pytest-timeout>=2.3,<3",
            "pytest-xdist>=3.8,<4",
            "python-socketio[client]>=5.12,<6",
            "requests>=2.32,<3",
            "ruff>=0.17,<0.18",
            "schemathesis>=4,<5",
            "setuptools>=77",
            "types-Flask-SocketIO",
            "types-PyYAML",
            "types-psutil",
            "types-setuptools",
            "vulture>=2.14,<3",
            # llama.cpp as a wheel, named after the day it was built on.
            "xllamacpp>=2026.10",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
