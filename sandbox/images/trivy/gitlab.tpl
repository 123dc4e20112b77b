The real template is a part of trivy; the stand-in writes the same report by itself.
