package object

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"os"
	"syscall"
)

// Needs is what an object depends on outside of itself. Where all of it is as it
// was, the object can be loaded; elsewhere the script is compiled anew.
type Needs struct {
	Release string // of the kernel it was compiled for
	Arch    string // as GOARCH has it
	CPUs    int    // possible CPUs
	Kernel  string // identifies the build of the kernel; "" if it can't be
	// Boot identifies the boot of the kernel, where addresses of it stand in the
	// code; else "". Modules identifies the modules that are loaded, where types or
	// functions of theirs were looked at; else "".
	Boot, Modules string
	Tracepoints   []Tracepoint
	Targets       []Target
	Files         []File
	// OnlyNow says what else the code depends on that can't be compared later; ""
	// if nothing.
	OnlyNow string
}

// Tracepoint is the layout of an event's records.
type Tracepoint struct{ Category, Event, Format string }

// Target is where a program or library was found that a script names without a path.
type Target struct{ Name, Path string }

// File is a program or library that addresses were taken from. It is the same
// where the inode and the time of the last change are, or, on another machine, the
// size and the build ID.
type File struct {
	Path    string
	Size    int64
	Dev     uint64
	Inode   uint64
	Changed int64  // ns since the epoch
	Build   string // its build ID, in hex; "" if it has none
}

// SetOnlyNow notes a dependency that can't be compared later.
func (n *Needs) SetOnlyNow(why string) {
	if n != nil && n.OnlyNow == "" {
		n.OnlyNow = why
	}
}

// AddTarget notes where a program or library was found.
func (n *Needs) AddTarget(name, path string) {
	if n != nil {
		n.Targets = append(n.Targets, Target{name, path})
	}
}

// AddFile notes a file.
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

// Same reports whether there is the same file at its path.
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

// buildID reads the build ID of an ELF file, in hex; "" if it has none.
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
