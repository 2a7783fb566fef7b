package kernel

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/lazy"
)

// Homonyms returns the addresses of the functions with a name, in ascending order, if
// there are several. If module is "", it searches vmlinux and all modules.
func (k *Kernel) Homonyms(module, name string) []uint64 {
	if k.src.live() && !k.symsRead.Load() && tellsHomonyms.Get() && !ambiguous(module, name) {
		return nil
	}
	t, err := k.syms.Get()
	if err != nil {
		return nil
	}
	if list := t.functions(module, name); len(list) > 1 {
		return list
	}
	return nil
}

// functions returns the addresses of the functions with a name, in ascending order. It
// ignores those that run only while the system boots, since their memory has been
// freed.
func (t *symbolTable) functions(module, name string) []uint64 {
	var list []uint64
	start, _ := t.address("_sinittext")
	end, _ := t.address("_einittext")
	for line := range t.lines(name) {
		text := t.text[line:]
		addr, ok := parseHex(text)
		if !ok || addr == 0 || len(text) < 19 || !bytes.ContainsRune([]byte("tTwW"), rune(text[17])) || start <= addr && addr < end {
			continue
		}
		if _, mod := t.name(uint32(line)); module == "" || mod == module {
			list = append(list, addr)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// commonHomonyms are names that several functions have in most kernels.
var commonHomonyms = []string{"load_elf_binary", "t_stop", "c_start", "c_stop", "s_stop", "s_next"}

// tellsHomonyms reports whether the running kernel refuses a name that several
// functions have. Linux 6.7 and later releases of older series do. Earlier ones use the
// first function.
var tellsHomonyms = lazy.Value[bool]{New: func() bool {
	return slices.ContainsFunc(commonHomonyms, func(name string) bool { return ambiguous("", name) })
}}

// ambiguous reports whether the running kernel refuses a name because several functions
// have it. It requests a return probe far after the start of the function, which the
// kernel refuses in any case, but with other errors. That takes some microseconds, and
// reading kallsyms 50 ms.
func ambiguous(module, name string) bool {
	text, err := os.ReadFile("/sys/bus/event_source/devices/kprobe/type")
	if err != nil {
		return false
	}
	typ, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return false
	}
	if module != "" && module != "vmlinux" {
		name = module + ":" + name
	}
	const isReturn, outside = 1, 1 << 24
	symbol := append([]byte(name), 0)
	attr := unix.PerfEventAttr{Type: uint32(typ), Config: isReturn, Ext1: uint64(uintptr(unsafe.Pointer(&symbol[0]))), Ext2: outside}
	attr.Size = uint32(unsafe.Sizeof(attr))
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	return errors.Is(err, unix.EADDRNOTAVAIL)
}
