package runtime

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/probes"
	file "github.com/gotrace/gotrace/probes/binary"
	"github.com/gotrace/gotrace/runtime/value"
)

// kernelLines finds source lines and inlined functions in the debug information of the
// running kernel and its modules. It looks for each file once.
type kernelLines struct {
	files map[string]*kernelFile
	open  func(module string) *kernelFile
}

// kernelFile is the debug information of the kernel or of a module.
type kernelFile struct {
	x     *file.File // nil: there is none
	slide uint64     // what to subtract from an address to get that in the file
}

// vmlinux is the name of the kernel itself among the modules.
const vmlinux = "vmlinux"

// openKernelFile opens the file with the debug information of the running kernel, which
// is one of paths. The file must have the build ID of the kernel, in hex. text is the
// address of _text.
func openKernelFile(paths []string, id string, text uint64) *kernelFile {
	x := openWithID(paths, id)
	if x == nil {
		return &kernelFile{}
	}
	start, ok := x.Symbol("_text")
	if !ok {
		x.Close()
		return &kernelFile{}
	}
	return &kernelFile{x, text - start.Addr}
}

// openWithID opens the first of the files that has a build ID and debug information, or
// returns nil.
func openWithID(paths []string, id string) *file.File {
	for _, path := range paths {
		x, err := file.Open(path)
		if err != nil {
			continue
		}
		if x.Where = (file.Where{Path: path}); x.BuildID() == id && id != "" {
			return x
		}
		x.Close()
	}
	return nil
}

// openModule opens the file with the debug information of a module, which is described in
// sysfs at dir. Its build ID must be the module's.
func openModule(dir string, files func(id string) []string) *kernelFile {
	id := noteID(filepath.Join(dir, "notes/.note.gnu.build-id"))
	sections, _ := os.ReadDir(filepath.Join(dir, "sections"))
	if id == "" || len(sections) == 0 {
		return &kernelFile{}
	}
	x := openWithID(files(id), id)
	if x == nil {
		return &kernelFile{}
	}
	at := map[string]uint64{}
	for _, s := range sections {
		data, _ := os.ReadFile(filepath.Join(dir, "sections", s.Name()))
		at[s.Name()], _ = strconv.ParseUint(strings.TrimSpace(string(data)), 0, 64)
	}
	x.Load(at)
	return &kernelFile{x: x}
}

// noteID returns the build ID in a file of notes, or "".
func noteID(path string) string {
	notes, _ := os.ReadFile(path)
	if id := file.NoteID(notes, binary.NativeEndian); len(id) > 2 {
		return id
	}
	return ""
}

// kernelLines returns the debug information of the running kernel and its modules.
func (s *Instance) kernelLines() *kernelLines {
	if s.lines != nil {
		return s.lines
	}
	byID := func(id string, more []string) []string {
		var paths []string
		for _, dir := range append(s.opt.DebugDirs[:len(s.opt.DebugDirs):len(s.opt.DebugDirs)], "/usr/lib/debug") {
			paths = append(paths, filepath.Join(dir, ".build-id", id[:2], id[2:]+".debug"))
		}
		return append(paths, more...)
	}
	s.lines = &kernelLines{files: map[string]*kernelFile{}, open: func(module string) *kernelFile {
		if module != vmlinux {
			return openModule("/sys/module/"+module, func(id string) []string { return byID(id, probes.ModuleFiles(s.at, module)) })
		}
		id := noteID("/sys/kernel/notes")
		text, ok := s.opt.Kernel.Symbol("_text")
		if !ok || id == "" {
			return &kernelFile{}
		}
		return openKernelFile(byID(id, probes.VmlinuxFiles(s.at)), id, text)
	}}
	return s.lines
}

// frames returns the frames at the address of f: functions that were inlined there, and f
// with its source line. returned is set if the address is a return address, after a call.
func (k *kernelLines) frames(f value.Frame, returned bool) []value.Frame {
	module := f.Module
	if module == "" {
		module = vmlinux
	}
	from := k.files[module]
	if from == nil {
		from = k.open(module)
		k.files[module] = from
	}
	if from.x == nil {
		return []value.Frame{f}
	}
	pc := f.Addr - from.slide
	if returned {
		pc--
	}
	var out []value.Frame
	list := from.x.Frames(pc)
	for i, d := range list {
		if i < len(list)-1 {
			out = append(out, value.Frame{Addr: f.Addr, Name: d.Name, Module: f.Module, File: d.File, Line: d.Line, Inlined: true})
			continue
		}
		f.File, f.Line = d.File, d.Line
	}
	return append(out, f)
}
