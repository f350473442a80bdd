"""The drawn study and the small searches that these tests share."""

from report_fixtures import (  # noqa: F401
    page,
    search_folder,
    search_page,
    searched,
    study,
    table,
    traded,
    weighed,
    written,
)
