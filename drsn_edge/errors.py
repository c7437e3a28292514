"""Every error that drsn_edge raises on purpose.

DrsnEdgeError
├── RecordingError             a recording or catalogue that cannot be used
├── SplitError                 a split that is empty, leaks, or misses a class
├── TrainingError              a training that cannot start or failed; a folder that is not a run folder
│   └── DivergedError          the loss or a weight became NaN or infinite
├── ReproduceError             a damaged results file, or a sweep that cannot run
├── JobsError                  jobs that lost their workers, or a cluster that cannot be used
├── BundleError                a file that is not a bundle
│   ├── BundleDamagedError     bytes of the bundle are missing or changed
│   ├── BundleLayoutError      a zip without the layout of a bundle
│   ├── BundleLimitError       a bundle that exceeds a limit
│   ├── SignatureError         a signature that does not belong to the manifest
│   ├── UnsignedError          no signature, but one is required
│   └── UntrustedKeyError      a signature by a key that is not trusted here
├── KeyFileError               a key or a folder of trusted keys that cannot be used
├── GateError                  a bundle that fails the health gate of this machine
├── LearningError              a machine that cannot be learned, or learned data that cannot be used
├── ContractError              a stream that does not fit the model
├── RuntimeUnavailableError    no interpreter for the model on this machine
├── SettingsError              settings that cannot be used
├── ControlError               a running monitor that cannot be reached, or refuses a request
├── OutputError                an output that cannot be written
├── MonitorError               a monitor that ended because of a bug, or without having received data
└── DemoError                  a demo that did not recognise a simulated condition

Each message says what happened, why as far as known, and what to do. The packages `quantize` and `firmware_bridge` have
roots of their own; `drsn_edge.cli.main` turns all three into one line.
"""


class DrsnEdgeError(Exception):
    """Root of drsn_edge's own errors.

    The sentence may change at any time; a program should use the class and these attributes.

    Attributes:
        problem: Short name of what went wrong, such as "no_sample_rate"; empty where the class says it all.
        facts: Values in the sentence by name, such as `facts["path"]`.
    """

    def __init__(self, message: str, problem: str = "", /, **facts: object) -> None:
        """Keep the sentence, the problem's name and its facts."""
        super().__init__(message)
        self.problem = problem
        self.facts = facts


class RecordingError(DrsnEdgeError):
    """A recording or its catalogue is missing, unreadable or incomplete."""


class SplitError(DrsnEdgeError):
    """A split would be empty, would leak, or would leave a class out of training."""


class TrainingError(DrsnEdgeError):
    """A training cannot start or failed, or its run folder cannot be used."""


class DivergedError(TrainingError):
    """The loss or a weight of a training became NaN or infinite."""


class ReproduceError(DrsnEdgeError):
    """A sweep cannot run, or its results file is damaged."""


class JobsError(DrsnEdgeError):
    """Jobs lost their worker processes, or a cluster cannot be reached, cannot be used, or went away."""


class BundleError(DrsnEdgeError):
    """A file is not a bundle, is damaged, or comes from a newer version."""


class BundleDamagedError(BundleError):
    """Bytes of a bundle are missing or changed."""


class BundleLayoutError(BundleError):
    """A zip does not have the layout of a bundle: names, order, compression, attributes, bytes between members."""


class BundleLimitError(BundleError):
    """A bundle, a member or the number of members exceeds its limit."""


class SignatureError(BundleError):
    """The signature does not belong to this manifest, or is damaged."""


class UnsignedError(BundleError):
    """The bundle has no signature."""


class UntrustedKeyError(BundleError):
    """The bundle is signed by a key that is not trusted here."""


class KeyFileError(DrsnEdgeError):
    """A key, or a folder of trusted keys, cannot be used."""


class GateError(DrsnEdgeError):
    """A bundle fails the health gate: this machine does not run it as the manifest says."""


class LearningError(DrsnEdgeError):
    """A machine cannot be learned on site, or the learned data cannot be used."""


class ContractError(DrsnEdgeError):
    """The stream of a sensor does not fit the signal that the model was trained on."""


class RuntimeUnavailableError(DrsnEdgeError):
    """No interpreter on this machine can run the model."""


class SettingsError(DrsnEdgeError):
    """Settings cannot be read, or are invalid."""


class ControlError(DrsnEdgeError):
    """A running monitor cannot be reached by its control socket, or refuses a request."""


class OutputError(DrsnEdgeError):
    """An output cannot be written; no partial file is left behind."""


class MonitorError(DrsnEdgeError):
    """The monitor ended because of a bug, or without having received anything from a sensor."""


class DemoError(DrsnEdgeError):
    """The demo ended without recognising each simulated condition."""
