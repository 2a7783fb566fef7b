package cdecl

import (
	"bytes"
	"compress/flate"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/runtime/lazy"
)

// constants is the encoded table of constants, compressed by flate. It replaces the headers
// of the kernel and of libc on machines without them. See tests/constants.
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

// Encode returns t as text, with these lines:
//
//   - the names of the kernels;
//   - the functions, and an empty line;
//   - the headers and then the constants, as encodeNames writes names;
//   - for each constant, a letter for its value in each kernel: 'v' for the next value, '='
//     for the value of the previous kernel, '-' if it is not defined. Trailing '=' are
//     omitted. An empty line follows;
//   - the values of all constants, in hexadecimal.
//
// Names, and values, compress better next to similar ones than next to each other.
func (t *Table) Encode() []byte {
	var b, values bytes.Buffer
	var names []string
	all := map[string]bool{}
	for _, k := range t.Kernels {
		names = append(names, k.Name)
		for n := range k.Values {
			all[n] = true
		}
	}
	fmt.Fprintln(&b, strings.Join(names, " "))
	for _, f := range sortedNames(t.Functions) {
		fmt.Fprintln(&b, f+t.Functions[f])
	}
	fmt.Fprintln(&b)
	encodeNames(&b, sortedNames(t.Headers))
	constants := sortedNames(all)
	encodeNames(&b, constants)
	for _, n := range constants {
		fmt.Fprintln(&b, t.encodeValues(&values, n))
	}
	fmt.Fprintln(&b)
	b.Write(values.Bytes())
	return b.Bytes()
}

func sortedNames[T any](m map[string]T) []string {
	var names []string
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// encodeNames writes sorted names. The first line has a digit of base 36 for each name, the
// length of the prefix that it shares with the previous one. The rest of each name follows
// on its own line, and an empty line ends the list.
func encodeNames(b *bytes.Buffer, names []string) {
	var shared, rests bytes.Buffer
	last := ""
	for _, name := range names {
		n := 0
		for n < len(name) && n < len(last) && n < 35 && name[n] == last[n] {
			n++
		}
		shared.WriteString(strconv.FormatInt(int64(n), 36))
		rests.WriteString(name[n:] + "\n")
		last = name
	}
	fmt.Fprintf(b, "%s\n%s\n", &shared, &rests)
}

// encodeValues writes the values of a constant to b, and returns the letters for the
// kernels.
func (t *Table) encodeValues(b *bytes.Buffer, name string) string {
	var how []byte
	last, known := Const{}, false
	for i, k := range t.Kernels {
		v, ok := k.Values[name]
		switch {
		case i > 0 && ok == known && v == last:
			how = append(how, '=')
		case !ok:
			how = append(how, '-')
		default:
			how = append(how, 'v')
			if v.Unsigned {
				fmt.Fprintf(b, "%x\n", uint64(v.Int))
			} else {
				fmt.Fprintf(b, "%x\n", v.Int)
			}
		}
		last, known = v, ok
	}
	return strings.TrimRight(string(how), "=")
}

// tableReader finds constants and headers in the text of a table.
type tableReader struct {
	kernels   [][2]int          // versions, oldest first
	functions map[string]string // as in Table
	headers   nameList
	constants nameList
	values    []tableValues // of each constant
	text      string
}

// tableValues are the offsets of a constant's lines in the text.
type tableValues struct {
	how, first uint32
}

// inflate returns data, which is part of the program, decompressed.
func inflate(data []byte) string {
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
	if err != nil {
		panic("cdecl: the table of constants: " + err.Error())
	}
	return string(text)
}

// newTableReader reads the result of Encode.
func newTableReader(text string) *tableReader {
	r := &tableReader{functions: map[string]string{}, text: text}
	at := 0
	line := func() string {
		end := at + strings.IndexByte(r.text[at:], '\n')
		l := r.text[at:end]
		at = end + 1
		return l
	}
	for _, name := range strings.Fields(line()) {
		var v [2]int
		fmt.Sscanf(name, "%d.%d", &v[0], &v[1])
		r.kernels = append(r.kernels, v)
	}
	for l := line(); l != ""; l = line() {
		name, rest, _ := strings.Cut(l, "(")
		r.functions[name] = "(" + rest
	}
	r.headers = readNames(line)
	r.constants = readNames(line)
	r.values = make([]tableValues, 0, len(r.constants.ends))
	n := 0 // of values
	for {
		start := at
		how := line()
		if how == "" {
			break
		}
		r.values = append(r.values, tableValues{how: uint32(start), first: uint32(n)})
		n += strings.Count(how, "v")
	}
	// The numbers of first values become their offsets.
	n = 0
	for i := range r.values {
		for ; n < int(r.values[i].first); n++ {
			line()
		}
		r.values[i].first = uint32(at)
	}
	return r
}

// value returns the value of a constant in a kernel.
func (r *tableReader) value(name string, kernel int) (Const, bool) {
	i, ok := r.constants.find(name)
	if !ok {
		return Const{}, false
	}
	how, _, _ := strings.Cut(r.text[r.values[i].how:], "\n")
	values, value := r.text[r.values[i].first:], ""
	for k := 0; k <= kernel && k < len(how); k++ {
		switch how[k] {
		case 'v':
			value, values, _ = strings.Cut(values, "\n")
		case '-':
			value = ""
		}
	}
	if value == "" {
		return Const{}, false
	}
	return decodeConst(value), true
}

// kernel returns the index of the newest kernel that is not newer than release. If all
// are newer, it returns the index of the oldest.
func (r *tableReader) kernel(release [3]int) int {
	best := 0
	for i, v := range r.kernels {
		if slices.Compare(v[:], release[:2]) <= 0 {
			best = i
		}
	}
	return best
}

// nameList holds sorted names.
type nameList struct {
	text string   // the names one after the other
	ends []uint32 // of each name in text
}

// readNames reads names that encodeNames wrote.
func readNames(line func() string) nameList {
	shared := line()
	l := nameList{ends: make([]uint32, 0, len(shared))}
	text := make([]byte, 0, 32*len(shared))
	last := 0 // where the previous name starts
	for i := range len(shared) {
		n := int(shared[i] - '0')
		if shared[i] > '9' {
			n = int(shared[i]-'a') + 10
		}
		start := len(text)
		text = append(text, text[last:last+n]...)
		text = append(text, line()...)
		l.ends = append(l.ends, uint32(len(text)))
		last = start
	}
	line()
	l.text = string(text)
	return l
}

func (l nameList) at(i int) string {
	start := uint32(0)
	if i > 0 {
		start = l.ends[i-1]
	}
	return l.text[start:l.ends[i]]
}

// find returns the index of name.
func (l nameList) find(name string) (int, bool) {
	return sort.Find(len(l.ends), func(i int) int { return strings.Compare(name, l.at(i)) })
}

// Known returns a constant from the headers of the kernel and of libc, with its value
// in the current kernel release. It is used for names without any other definition.
func (u *Decls) Known(name string) (Const, bool) {
	if strings.ToLower(name) == name {
		return Const{}, false // the table contains no such names, so it need not be read
	}
	if _, text, ok := strings.Cut(corrected, " "+name+"="); ok {
		text, _, _ = strings.Cut(text, " ")
		return decodeConst(text), true
	}
	t := table.Get()
	return t.value(name, t.kernel(u.opts.Release))
}

// corrected holds the constants whose value in programs is not that of the table. Either the
// kernel's own headers define them otherwise, or they contain the size of a struct that none
// of the headers has. The values are hexadecimal.
const corrected = " CLOCKS_PER_SEC=f4240 ADJ_OFFSET_SINGLESHOT=8001 FAN_EVENT_METADATA_LEN=18" +
	" TPACKET_HDRLEN=34 TPACKET2_HDRLEN=34 TPACKET3_HDRLEN=44 "

// libcHeaders lists the headers of libc that the table and BTF can replace. They
// contain only constants of the kernel, functions, and types that are in BTF.
var libcHeaders = lazy.Table[[]string]{New: func() []string {
	return strings.Fields(`arpa/inet.h assert.h ctype.h dirent.h elf.h endian.h err.h errno.h fcntl.h
	float.h inttypes.h limits.h linux/limits.h math.h mqueue.h net/ethernet.h net/if.h net/if_arp.h net/route.h netdb.h
	netinet/icmp6.h netinet/if_ether.h netinet/in.h netinet/ip.h netinet/ip6.h netinet/ip_icmp.h netinet/tcp.h
	netinet/udp.h netpacket/packet.h poll.h pthread.h sched.h semaphore.h signal.h stdint.h stdio.h stdlib.h string.h
	strings.h sys/epoll.h sys/eventfd.h sys/file.h sys/inotify.h sys/ioctl.h sys/ipc.h sys/mman.h sys/mount.h sys/msg.h
	sys/param.h sys/poll.h sys/prctl.h sys/ptrace.h sys/resource.h sys/select.h sys/sem.h sys/shm.h sys/signal.h
	sys/socket.h sys/stat.h sys/statfs.h sys/syscall.h sys/time.h sys/timerfd.h sys/types.h sys/uio.h sys/un.h
	sys/utsname.h sys/wait.h sys/xattr.h syscall.h time.h unistd.h utime.h`)
}}

// standIn replaces a missing header with the table and the kernel's types. It reports
// whether that is possible.
func (u *Decls) standIn(name string) bool {
	known := slices.Contains(libcHeaders.Get(), name) || ofKernel(name) && strings.Contains(name, "..")
	if !known {
		if _, known = table.Get().headers.find(name); !known {
			return false
		}
	}
	if len(u.Missing) == 0 {
		var text bytes.Buffer
		for f, definition := range table.Get().functions {
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
	if v, err := strconv.ParseInt(text, 16, 64); err == nil {
		return Const{Int: v}
	}
	v, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		panic("cdecl: the table of constants: " + err.Error())
	}
	return Const{Int: int64(v), Unsigned: true}
}

var table = lazy.Table[*tableReader]{New: func() *tableReader { return newTableReader(inflate(constants)) }}
