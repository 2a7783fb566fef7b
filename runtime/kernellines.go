package runtime

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"

	"github.com/gotrace/gotrace/probes"
	file "github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/value"
)

// kernelLines finds source lines and inlined functions in the debug information of the
// running kernel. It does not know those of modules.
type kernelLines struct {
	x     *file.File // nil: there is no debug information
	slide uint64     // distance of the kernel from the addresses in the file
}

// openKernelLines opens the file with the debug information of the running kernel, which
// is one of paths. The file must have the build ID of the kernel, in hex. text is the
// address of _text.
func openKernelLines(paths []string, id string, text uint64) *kernelLines {
	for _, path := range paths {
		x, err := file.Open(path)
		if err != nil {
			continue
		}
		x.Where = file.Where{Path: path}
		if start, ok := x.Symbol("_text"); ok && x.BuildID() == id && id != "" {
			return &kernelLines{x, text - start.Addr}
		}
		x.Close()
	}
	return &kernelLines{}
}

// kernelLines returns the debug information of the running kernel. It looks for it once.
func (s *Session) kernelLines() *kernelLines {
	if s.lines == nil {
		s.lines = &kernelLines{}
		notes, _ := os.ReadFile("/sys/kernel/notes")
		id := file.NoteID(notes, binary.NativeEndian)
		if text, ok := s.opt.Kernel.Symbol("_text"); ok && len(id) > 2 {
			var paths []string
			for _, dir := range append(slices.Clone(s.opt.DebugDirs), "/usr/lib/debug") {
				paths = append(paths, filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug"))
			}
			s.lines = openKernelLines(append(paths, probes.VmlinuxFiles(s.at)...), id, text)
		}
	}
	return s.lines
}

// frames returns the frames at the address of f: functions that were inlined there, and
// f with its source line. returned tells that the address is that of the instruction
// after a call.
func (k *kernelLines) frames(f value.Frame, returned bool) []value.Frame {
	if k.x == nil || f.Module != "" && f.Module != "vmlinux" {
		return []value.Frame{f}
	}
	pc := f.Addr - k.slide
	if returned {
		pc--
	}
	var out []value.Frame
	list := k.x.Frames(pc)
	for i, d := range list {
		if i < len(list)-1 {
			out = append(out, value.Frame{Addr: f.Addr, Name: d.Name, Module: f.Module, File: d.File, Line: d.Line, Inlined: true})
			continue
		}
		f.File, f.Line = d.File, d.Line
	}
	return append(out, f)
}
