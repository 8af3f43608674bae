"""Small files of each format, written by hand so that a test says exactly what is in them."""

from __future__ import annotations

import zipfile
import zlib

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles>'
    '<rootfile full-path="OEBPS/content.opf" media-type="application/oebps-package+xml"/>'
    "</rootfiles></container>"
)
TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def archive(path, **parts):
    """A zip of (name, text or bytes)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return path


def paragraph(text, style=None):
    kind = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{kind}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def table(*rows):
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def docx(path, *body, before=""):
    document = f'{before}<w:document xmlns:w="{WORD}"><w:body>{"".join(body)}</w:body></w:document>'
    parts = {"[Content_Types].xml": TYPES, "_rels/.rels": RELATIONS, "word/document.xml": document}
    return archive(path, **parts)


def epub(path, *chapters, listed="", package_before="", **more):
    """An e-book of chapters in XHTML; `listed` is the head of the package, `more` other files in it."""
    items = "".join(
        f'<item id="c{n}" href="chapter%20{n}.xhtml" media-type="application/xhtml+xml"/>'
        for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    package = (
        f'{package_before}<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f"<manifest>{items}{listed}</manifest><spine>{spine}</spine></package>"
    )
    pages = {f"OEBPS/chapter {n}.xhtml": text for n, text in enumerate(chapters)}
    return archive(
        path, **{"META-INF/container.xml": CONTAINER, "OEBPS/content.opf": package, **pages, **more}
    )


def pdf(path, *pages, trailer=""):
    """A PDF whose pages are content streams, with Helvetica as /F1 and Courier as /F2."""
    count = len(pages)
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(count))
    fonts = "<< /Font << /F1 3 0 R /F2 4 0 R >> >>"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
    ]
    for n, content in enumerate(pages):
        packed = zlib.compress(content.encode("cp1252") if isinstance(content, str) else content)
        head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources {fonts} "
            f"/Contents {6 + 2 * n} 0 R >>".encode(),
            head + packed + b"\nendstream",
        ]
    return _written(path, objects, trailer)


def _written(path, objects, trailer):
    data, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{len(data)}\n%%EOF\n"
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    path.write_bytes(data + head + table + end.encode())
    return path


def line(text, y, *, size=10, x=72, font="F1"):
    """One line of a page, in points from the lower left."""
    return f"BT /{font} {size} Tf {x} {y} Td ({text}) Tj ET\n"
