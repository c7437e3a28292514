"""Every error that quantize raises on purpose.

QuantizeError
├── ModelFileError               bytes that are not a .tflite file, or are a damaged one
├── UnsupportedOperatorError     a valid .tflite file with an operator that the engine does not run
├── TargetError                  an unknown target, or a failure of its compiler
├── CalibrationError             calibration windows of a wrong shape, constant, or not finite
├── ConversionError              the converter failed, or its file is not wholly int8
└── MismatchError                the int8 file and the Keras model disagree
"""


class QuantizeError(Exception):
    """Root of quantize's own errors.

    A sentence may change at any time; a program that needs to know what went wrong uses the class and these attributes.

    Attributes:
        problem: Short name of what went wrong, such as "no_sample_rate"; empty where the class says it all.
        facts: Values that the sentence tells, by name, such as `facts["path"]`.
    """

    def __init__(self, message: str, problem: str = "", /, **facts: object) -> None:
        """Keep the sentence, the problem's name and its facts."""
        super().__init__(message)
        self.problem = problem
        self.facts = facts


class ModelFileError(QuantizeError):
    """Bytes are not a readable .tflite model."""


class UnsupportedOperatorError(QuantizeError):
    """The engine does not run an operator, or not in this form."""


class TargetError(QuantizeError):
    """The target is unknown, or its compiler failed."""


class CalibrationError(QuantizeError):
    """Calibration windows cannot set the ranges of this model."""


class ConversionError(QuantizeError):
    """The model cannot be converted to a file that holds int8 operators only."""


class MismatchError(QuantizeError):
    """The converted file and the Keras model disagree on real windows."""
