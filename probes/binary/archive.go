package binary

import (
	"archive/zip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/outline"
)

// ArchiveMark separates the path of a zip archive, such as an Android package, from the
// path of a library in it. Android's dynamic linker maps libraries directly from the
// archive if they are stored without compression.
const ArchiveMark = "!/"

// SplitArchive splits archive!/member; ok is false if path is not of that form.
func SplitArchive(path string) (archive, member string, ok bool) {
	return strings.Cut(path, ArchiveMark)
}

// mapArchived maps a member of an archive. It returns the member's bytes and
// their offset in the archive.
func mapArchived(f *os.File, size int64, member string) (data []byte, offset uint64, err error) {
	z, err := zip.NewReader(f, size)
	if err != nil {
		return nil, 0, outline.Errorf("not a zip archive: %w", err)
	}
	for _, m := range z.File {
		if m.Name != member {
			continue
		}
		at, err := m.DataOffset()
		if err != nil {
			return nil, 0, err
		}
		if m.Method != zip.Store {
			return nil, 0, outline.Errorf("%s is compressed in the archive, so it is not run from there", member)
		}
		n := int64(m.UncompressedSize64)
		if at < 0 || n <= 0 || at > size || n > size-at {
			return nil, 0, outline.Errorf("%s lies outside the archive", member)
		}
		// A member that does not start on a page boundary cannot be mapped. A linker
		// cannot map it either, but programs may run a copy of it.
		if at%int64(os.Getpagesize()) != 0 {
			data := make([]byte, n)
			_, err := f.ReadAt(data, at)
			return data, uint64(at), err
		}
		data, err := unix.Mmap(int(f.Fd()), at, int(n), unix.PROT_READ, mapKind)
		return data, uint64(at), err
	}
	return nil, 0, outline.Errorf("the archive does not contain %s", member)
}
