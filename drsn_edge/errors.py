"""Every error that drsn_edge raises on purpose.

DrsnEdgeError
├── RecordingError             a recording or catalogue that cannot be used as it is
├── SplitError                 a split that is empty, leaks, or misses a class
├── TrainingError              a training that cannot start or went wrong; a run folder that is not one
│   └── DivergedError          the loss or a weight stopped being a number
├── ReproduceError             a sweep's results file that is none, or a sweep that cannot run
├── BundleError                a file that is not a bundle
│   ├── BundleDamagedError     it was one, and bytes of it are missing or changed
│   ├── BundleLayoutError      a zip, but not laid out as a bundle is
│   ├── BundleLimitError       larger than a bundle may be
│   ├── SignatureError         a signature that does not fit the manifest
│   ├── UnsignedError          no signature where one is needed
│   └── UntrustedKeyError      signed by a key that is not trusted here
├── KeyFileError               a key or a folder of trusted keys that cannot be used
├── GateError                  a bundle that this machine cannot run as it should
├── LearningError              a machine that cannot be learned, or what was learned with another bundle
├── ContractError              the stream is not what the model was trained on
├── RuntimeUnavailableError    no interpreter for the model on this machine
├── SettingsError              a file of settings that cannot be used
├── ControlError               a running monitor that cannot be reached, or refuses what is asked for
├── OutputError                a result that could not be written
└── DemoError                  the demo that did not recognise a simulated condition

Each message says what was expected, what came, and what to do. The packages `quantize` and
`firmware_bridge` have roots of their own; `drsn_edge.cli.main` turns all three into one line.
"""


class DrsnEdgeError(Exception):
    """Root of drsn_edge's own errors.

    A sentence may be written anew at any time; a program that wants to know what went wrong looks at the class and at
    these attributes.

    Attributes:
        problem: Short name of what went wrong, such as "no_sample_rate"; empty where the class says it all.
        facts: Values that the sentence tells, by name, such as `facts["path"]`.
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
    """A training cannot start, went wrong, or its run folder cannot be used."""


class DivergedError(TrainingError):
    """The loss or a weight of a training stopped being a number."""


class ReproduceError(DrsnEdgeError):
    """A sweep cannot run, or its results file is damaged."""


class BundleError(DrsnEdgeError):
    """A file is not a bundle, or is a damaged one, or one from a newer version."""


class BundleDamagedError(BundleError):
    """Bytes of a bundle are missing or changed."""


class BundleLayoutError(BundleError):
    """A zip is not laid out as a bundle is: names, order, compression, attributes, what lies between members."""


class BundleLimitError(BundleError):
    """A bundle, a member or their number is larger than it may be."""


class SignatureError(BundleError):
    """The signature is not one of this manifest."""


class UnsignedError(BundleError):
    """The bundle has no signature."""


class UntrustedKeyError(BundleError):
    """The bundle is signed by a key that is not trusted here."""


class KeyFileError(DrsnEdgeError):
    """A key, or a folder of trusted keys, cannot be used."""


class GateError(DrsnEdgeError):
    """This machine does not run a bundle as its manifest says."""


class LearningError(DrsnEdgeError):
    """What a machine is like on site cannot be learned or used."""


class ContractError(DrsnEdgeError):
    """What the sensor sends is not what the model was trained on."""


class RuntimeUnavailableError(DrsnEdgeError):
    """No interpreter on this machine can run the model."""


class SettingsError(DrsnEdgeError):
    """A file of settings cannot be read, or holds what cannot be."""


class ControlError(DrsnEdgeError):
    """A running monitor cannot be reached by its control socket, or refuses what is asked for."""


class OutputError(DrsnEdgeError):
    """A result could not be written; nothing half-written was left behind."""


class MonitorError(DrsnEdgeError):
    """The monitor ended because of a mistake of its own, or without having heard of any sensor."""


class DemoError(DrsnEdgeError):
    """The demo ended without recognising each simulated condition."""
