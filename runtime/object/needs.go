package object

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"os"
	"syscall"
)

// Needs lists what an object depends on. If all of it is unchanged, the object can
// be loaded. Otherwise the script must be compiled again.
type Needs struct {
	Release string // kernel release it was compiled for
	Arch    string // as in GOARCH
	CPUs    int    // number of possible CPUs
	Kernel  string // identifies the build of the kernel; "" if unknown
	// Boot identifies the boot of the kernel if the code contains kernel addresses,
	// or is "". Modules identifies the loaded modules if their types or functions
	// were used, or is "".
	Boot, Modules string
	Tracepoints   []Tracepoint
	Targets       []Target
	Files         []File
	// OnlyNow names a dependency that cannot be compared later, or is "".
	OnlyNow string
}

// Tracepoint is the record format of an event.
type Tracepoint struct{ Category, Event, Format string }

// Target is the path at which a program or library was found that the script names
// without a path.
type Target struct{ Name, Path string }

// File is a program or library that addresses were taken from. It is unchanged if
// its inode and modification time are the same or, on another machine, its size and
// build ID.
type File struct {
	Path    string
	Size    int64
	Dev     uint64
	Inode   uint64
	Changed int64  // modification time in ns since the epoch
	Build   string // build ID in hex; "" if it has none
}

// SetOnlyNow records a dependency that cannot be compared later.
//
//go:noinline
func (n *Needs) SetOnlyNow(why string) {
	if n != nil && n.OnlyNow == "" {
		n.OnlyNow = why
	}
}

// AddTarget records where a program or library was found.
func (n *Needs) AddTarget(name, path string) {
	if n != nil {
		n.Targets = append(n.Targets, Target{name, path})
	}
}

// AddFile records a file that addresses were taken from.
func (n *Needs) AddFile(path, build string) {
	if n == nil {
		return
	}
	f, err := statFile(path)
	if err != nil {
		n.SetOnlyNow(path)
		return
	}
	f.Build = build
	n.Files = append(n.Files, f)
}

func statFile(path string) (File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	f := File{Path: path, Size: info.Size(), Changed: info.ModTime().UnixNano()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		f.Dev, f.Inode = uint64(st.Dev), st.Ino
	}
	return f, nil
}

// Same reports whether the file at its path is unchanged.
func (f File) Same() bool {
	now, err := statFile(f.Path)
	if err != nil {
		return false
	}
	build := f.Build
	now.Build = build
	if now == f {
		return true
	}
	return build != "" && now.Size == f.Size && buildID(f.Path) == build
}

// buildID returns the build ID of an ELF file in hex, or "" if it has none.
func buildID(path string) string {
	x, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer x.Close()
	s := x.Section(".note.gnu.build-id")
	if s == nil || s.Size > 1<<12 {
		return ""
	}
	data, err := s.Data()
	if err != nil || len(data) < 16 {
		return ""
	}
	size := binary.LittleEndian.Uint32(data[4:])
	if uint64(size) > uint64(len(data)-16) {
		return ""
	}
	return hex.EncodeToString(data[16 : 16+size])
}
