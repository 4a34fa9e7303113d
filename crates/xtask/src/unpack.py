"""Lists a wheel's members, or copies those named on standard input, as lines "member<TAB>destination"."""

import pathlib
import shutil
import sys
import zipfile

with zipfile.ZipFile(sys.argv[1]) as wheel:
    if len(sys.argv) == 2:
        print("\n".join(wheel.namelist()))
    else:
        for line in sys.stdin:
            member, destination = line.rstrip("\n").split("\t")
            path = pathlib.Path(sys.argv[2], destination)
            path.parent.mkdir(parents=True, exist_ok=True)
            with wheel.open(member) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
