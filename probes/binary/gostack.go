package binary

import (
	"debug/elf"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/unwind/cfi"
)

// maxGoFile is the size of the largest Go program whose functions are read, and
// maxGoSections the number of bytes that are read of it.
const (
	maxGoFile     = 4 << 30
	maxGoSections = 512 << 20
)

// GoFunctions calls f for each function of a Go program, in the order of their addresses.
// It reads the few sections that it needs and does not map the file, whose file system may
// not answer.
func GoFunctions(r io.ReaderAt, e *elf.File, f func(cfi.GoFunction)) {
	size, read := uint64(0), uint64(0)
	var needed []*elf.Section
	for _, s := range e.Sections {
		if s.Type == elf.SHT_NOBITS || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		if strings.HasSuffix(s.Name, ".gopclntab") || s.Name == ".data.rel.ro" || s.Flags&elf.SHF_WRITE != 0 || s.Type == elf.SHT_RELA {
			if s.Offset > maxGoFile || s.FileSize > maxGoSections-read {
				return
			}
			needed = append(needed, s)
			size, read = max(size, s.Offset+s.FileSize), read+s.FileSize
		}
	}
	for _, p := range e.Progs {
		if p.Off < maxGoFile && p.Filesz < maxGoFile {
			size = max(size, p.Off+p.Filesz)
		}
	}
	if len(needed) == 0 {
		return
	}
	data, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return
	}
	defer unix.Munmap(data)
	for _, s := range needed { // of a shortened file, the rest is zero
		_, _ = r.ReadAt(data[s.Offset:s.Offset+s.FileSize], int64(s.Offset))
	}
	x := &File{elf: e, data: data}
	x.golang.New = func() bool { return true }
	if g := x.readGoTable(); g != nil {
		g.functions(f)
	}
}

// functions implements GoFunctions.
func (g *goTable) functions(f func(cfi.GoFunction)) {
	const depths, topFrame = 3, 1 // the field with the table of depths, and a flag
	for i := range g.n {
		addr, _ := g.entry(i)
		fn, ok := g.function(addr)
		if !ok || fn.addr != addr {
			continue
		}
		table := g.order.Uint32(fn.data[fn.wide+4*depths:])
		f(cfi.GoFunction{Name: fn.name, Start: addr, End: fn.end, Outermost: fn.data[fn.fields-3]&topFrame != 0, Depths: func(yield func(uint64, int32) bool) {
			g.ranges(&fn, table, yield)
		}})
	}
}
