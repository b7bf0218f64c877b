"""The list of open scans."""
