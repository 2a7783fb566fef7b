package cdecl

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gotrace/gotrace/lang/source"
)

// constants is the encoded table of constants. It replaces the headers of the kernel
// and of libc on machines without them. See tests/constants.
//
//go:embed constants.bin
var constants []byte

// Table holds the constants of the headers of several kernels.
type Table struct {
	Kernels   []TableKernel     // oldest first
	Headers   map[string]bool   // names by which they are included
	Functions map[string]string // macros with parameters: "(x) body"
}

// TableKernel holds the constants of one kernel.
type TableKernel struct {
	Name   string // major.minor, or major
	Values map[string]Const
}

// Encode returns t as text, compressed by flate. Its lines contain, in this order, the
// names of the kernels, the headers, the functions and the constants. An empty line
// ends each of the last three. Names are sorted. Except in functions, a name starts
// with the length of the prefix that it shares with the previous name, and omits that
// prefix. A constant has one value, or one for each kernel: "-" if it is not defined,
// and nothing if it is the same as in the previous kernel.
func (t *Table) Encode() []byte {
	var b bytes.Buffer
	var names []string
	for _, k := range t.Kernels {
		names = append(names, k.Name)
	}
	fmt.Fprintln(&b, strings.Join(names, " "))
	last := ""
	for _, h := range sortedNames(t.Headers) {
		fmt.Fprintln(&b, shorten(&last, h))
	}
	fmt.Fprintln(&b)
	for _, f := range sortedNames(t.Functions) {
		fmt.Fprintln(&b, f+t.Functions[f])
	}
	fmt.Fprintln(&b)
	all := map[string]bool{}
	for _, k := range t.Kernels {
		for n := range k.Values {
			all[n] = true
		}
	}
	last = ""
	for _, n := range sortedNames(all) {
		fmt.Fprintln(&b, shorten(&last, n)+" "+t.values(n))
	}
	fmt.Fprintln(&b)
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		panic(err) // the level is valid
	}
	w.Write(b.Bytes())
	w.Close()
	return out.Bytes()
}

func sortedNames[T any](m map[string]T) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// shorten returns the length of the prefix that name shares with *last, in base
// 36, and the rest of name. It sets *last to name.
func shorten(last *string, name string) string {
	n := 0
	for n < len(name) && n < len(*last) && n < 35 && name[n] == (*last)[n] {
		n++
	}
	*last = name
	return strconv.FormatInt(int64(n), 36) + name[n:]
}

// values returns the values of a constant in all kernels, as Encode writes
// them.
func (t *Table) values(name string) string {
	var list []string
	last := ""
	for i, k := range t.Kernels {
		text := "-"
		if v, ok := k.Values[name]; ok {
			text = strconv.FormatInt(v.Int, 10)
			if v.Unsigned {
				text = strconv.FormatUint(uint64(v.Int), 10)
			}
		}
		if i > 0 && text == last {
			list = append(list, "")
		} else {
			list = append(list, text)
		}
		last = text
	}
	return strings.TrimRight(strings.Join(list, ","), ",")
}

// decodeTable decodes the result of Encode. It panics if data is invalid, as the table
// is part of the program.
func decodeTable(data []byte) *Table {
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
	if err != nil {
		panic("cdecl: the table of constants: " + err.Error())
	}
	lines := strings.Split(string(text), "\n")
	t := &Table{Headers: map[string]bool{}, Functions: map[string]string{}}
	for _, name := range strings.Fields(lines[0]) {
		t.Kernels = append(t.Kernels, TableKernel{Name: name, Values: make(map[string]Const, len(lines))})
	}
	i, last := 1, ""
	full := func(line string) string {
		n, err := strconv.ParseInt(line[:1], 36, 64)
		if err != nil {
			panic("cdecl: the table of constants: " + err.Error())
		}
		last = last[:n] + line[1:]
		return last
	}
	for ; lines[i] != ""; i++ {
		t.Headers[full(lines[i])] = true
	}
	for i++; lines[i] != ""; i++ {
		name, rest, _ := strings.Cut(lines[i], "(")
		t.Functions[name] = "(" + rest
	}
	last = ""
	for i++; lines[i] != ""; i++ {
		short, list, _ := strings.Cut(lines[i], " ")
		name, value := full(short), ""
		values := strings.Split(list, ",")
		for n := range t.Kernels {
			if n < len(values) && values[n] != "" {
				value = values[n]
			}
			if value == "-" {
				continue
			}
			t.Kernels[n].Values[name] = decodeConst(value)
		}
	}
	return t
}

// Known returns a constant from the headers of the kernel and of libc, with its value
// in the current kernel release. It is used for names without any other definition.
func (u *Decls) Known(name string) (Const, bool) {
	if strings.ToLower(name) == name {
		return Const{}, false // the table contains no such names, so it need not be decoded
	}
	c, ok := table().kernel(u.opts.Release).Values[name]
	return c, ok
}

// kernel returns the newest kernel of the table that is not newer than release.
// If all are newer, it returns the oldest.
func (t *Table) kernel(release [2]int) TableKernel {
	best := t.Kernels[0]
	for _, k := range t.Kernels {
		var v [2]int
		fmt.Sscanf(k.Name, "%d.%d", &v[0], &v[1])
		if slices.Compare(v[:], release[:]) <= 0 {
			best = k
		}
	}
	return best
}

// libcHeaders lists the headers of libc that the table and BTF can replace. They
// contain only constants of the kernel, functions, and types that are in BTF.
var libcHeaders = strings.Fields(`arpa/inet.h assert.h ctype.h dirent.h elf.h endian.h err.h errno.h fcntl.h
	float.h inttypes.h limits.h linux/limits.h math.h mqueue.h net/ethernet.h net/if.h net/if_arp.h net/route.h netdb.h
	netinet/icmp6.h netinet/if_ether.h netinet/in.h netinet/ip.h netinet/ip6.h netinet/ip_icmp.h netinet/tcp.h
	netinet/udp.h netpacket/packet.h poll.h pthread.h sched.h semaphore.h signal.h stdint.h stdio.h stdlib.h string.h
	strings.h sys/epoll.h sys/eventfd.h sys/file.h sys/inotify.h sys/ioctl.h sys/ipc.h sys/mman.h sys/mount.h sys/msg.h
	sys/param.h sys/poll.h sys/prctl.h sys/ptrace.h sys/resource.h sys/select.h sys/sem.h sys/shm.h sys/signal.h
	sys/socket.h sys/stat.h sys/statfs.h sys/syscall.h sys/time.h sys/timerfd.h sys/types.h sys/uio.h sys/un.h
	sys/utsname.h sys/wait.h sys/xattr.h syscall.h time.h unistd.h utime.h`)

// standIn replaces a missing header with the table and the kernel's types. It reports
// whether that is possible.
func (u *Decls) standIn(name string) bool {
	if !table().Headers[name] && !slices.Contains(libcHeaders, name) && !(ofKernel(name) && strings.Contains(name, "..")) {
		return false
	}
	if len(u.Missing) == 0 {
		var text strings.Builder
		for f, definition := range table().Functions {
			if u.macros[f] == nil {
				fmt.Fprintf(&text, "#define %s%s\n", f, definition)
			}
		}
		u.preprocess(fileLines(source.NewFile("<table>", text.String())))
	}
	u.Missing = append(u.Missing, name)
	return true
}

func decodeConst(text string) Const {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return Const{Int: v}
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic("cdecl: the table of constants: " + err.Error())
	}
	return Const{Int: int64(v), Unsigned: true}
}

var table = sync.OnceValue(func() *Table { return decodeTable(constants) })
