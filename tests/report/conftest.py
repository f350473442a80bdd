"""The drawn study and the small searches that these tests share."""

from report_fixtures import *  # noqa: F403
