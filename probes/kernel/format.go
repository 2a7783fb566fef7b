package kernel

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
)

// parseFormat reads a tracepoint's format file. lookup finds the types of
// struct pointers and enums; it is asked only where a field has one.
//
// Width and sign are those the file states: of a system call's arguments they
// are the register's, 8 bytes, whatever the declared C type.
func parseFormat(text, category string, lookup func(string) (*types.Type, error)) (*probes.TraceFormat, error) {
	tf := &probes.TraceFormat{ID: -1}
	p := formatParser{syscall: category == "syscalls", lookup: lookup}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, "ID:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(id))
			if err != nil {
				return nil, fmt.Errorf("format: bad ID %q", id)
			}
			tf.ID = n
			continue
		}
		if strings.HasPrefix(line, "print fmt:") {
			break
		}
		decl, ok := strings.CutPrefix(line, "field:")
		if !ok {
			continue
		}
		f, size, decl, err := p.field(decl)
		if err != nil {
			return nil, fmt.Errorf("format: %q: %w", line, err)
		}
		tf.Size = max(tf.Size, f.Off+size)
		if strings.HasPrefix(f.Name, "common_") {
			continue
		}
		tf.Fields = append(tf.Fields, f)
		tf.Decls = append(tf.Decls, decl)
	}
	if tf.ID < 0 {
		return nil, fmt.Errorf("format: no ID")
	}
	return tf, nil
}

type formatParser struct {
	syscall bool
	lookup  func(string) (*types.Type, error)
}

// field reads "TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;".
func (p *formatParser) field(text string) (f types.Field, size int, decl string, err error) {
	parts := strings.Split(text, ";")
	decl = strings.TrimSpace(parts[0])
	attr := map[string]int{}
	for _, part := range parts[1:] {
		key, val, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			continue
		}
		n, err := strconv.Atoi(val)
		if err != nil || n < 0 || n > 1<<20 {
			return f, 0, "", fmt.Errorf("bad %s", key)
		}
		attr[key] = n
	}
	size = attr["size"]
	f.Off = attr["offset"]
	typ, name, dims := splitDecl(decl)
	if name == "" {
		return f, 0, "", fmt.Errorf("no name")
	}
	f.Name = name
	signed := attr["signed"] != 0
	if rest, ok := strings.CutPrefix(typ, "__data_loc "); ok {
		f.DataLoc = true
		typ = rest
	} else if rest, ok := strings.CutPrefix(typ, "__rel_loc "); ok {
		f.RelLoc = true
		typ = rest
	}
	if f.DataLoc || f.RelLoc {
		typ, _, _ = strings.Cut(typ, "[")
		elem := p.scalar(strings.TrimSpace(typ), 0, signed)
		f.Type = types.NewPointer(elem, types.Kernel)
		return f, size, decl, nil
	}
	if dims == nil {
		if size != 1 && size != 2 && size != 4 && size != 8 {
			f.Type = p.object(typ, size)
		} else {
			f.Type = p.scalar(typ, size, signed)
		}
		return f, size, decl, nil
	}
	n := 1
	for _, d := range dims {
		n *= max(d, 0)
	}
	if n <= 0 || n > 1<<16 || size%n != 0 { // the file names a constant we do not know
		n = 0
	}
	base := strings.TrimPrefix(typ, "const ")
	switch {
	case base == "char" && size > 0:
		f.Type = types.NewString(size).InSpace(types.Ctx)
	case n == 0:
		elem := p.scalar(typ, 0, signed)
		count := 0
		if elem.Size > 0 {
			count = size / elem.Size
		}
		f.Type = types.NewArray(elem, count).InSpace(types.Ctx)
	default:
		f.Type = types.NewArray(p.scalar(typ, size/n, signed), n).InSpace(types.Ctx)
	}
	return f, size, decl, nil
}

// splitDecl takes "unsigned long args[6]" apart into type, name and dimensions
// (-1 where one is not a plain number); "char[] name" has them at the type.
func splitDecl(decl string) (typ, name string, dims []int) {
	body := decl
	for strings.HasSuffix(body, "]") {
		i := strings.LastIndexByte(body, '[')
		if i < 0 {
			break
		}
		n, err := strconv.Atoi(strings.TrimSpace(body[i+1 : len(body)-1]))
		if err != nil {
			n = -1
		}
		dims = append([]int{n}, dims...)
		body = strings.TrimSpace(body[:i])
	}
	i := len(body)
	for i > 0 && (body[i-1] == '_' || body[i-1] >= '0' && body[i-1] <= '9' || body[i-1]|0x20 >= 'a' && body[i-1]|0x20 <= 'z') {
		i--
	}
	return strings.TrimSpace(body[:i]), body[i:], dims
}

// cInts are the C integer types whose size does not depend on anything but the
// file's word for it.
var cSizes = map[string]int{
	"char": 1, "signed char": 1, "unsigned char": 1, "u8": 1, "s8": 1, "__u8": 1, "__s8": 1, "bool": 1, "_Bool": 1, "uint8_t": 1, "int8_t": 1,
	"short": 2, "unsigned short": 2, "u16": 2, "s16": 2, "__u16": 2, "__s16": 2, "uint16_t": 2, "int16_t": 2, "__be16": 2, "__le16": 2,
	"int": 4, "unsigned": 4, "unsigned int": 4, "u32": 4, "s32": 4, "__u32": 4, "__s32": 4, "uint32_t": 4, "int32_t": 4, "__be32": 4, "__le32": 4, "pid_t": 4, "uid_t": 4, "gid_t": 4,
	"long": 8, "unsigned long": 8, "long long": 8, "unsigned long long": 8, "u64": 8, "s64": 8, "__u64": 8, "__s64": 8, "uint64_t": 8, "int64_t": 8, "size_t": 8, "ssize_t": 8, "loff_t": 8, "__be64": 8, "__le64": 8,
}

func cSigned(name string) bool {
	switch {
	case strings.HasPrefix(name, "unsigned"), strings.HasPrefix(name, "u"), strings.HasPrefix(name, "__u"), strings.HasPrefix(name, "__be"), strings.HasPrefix(name, "__le"), name == "size_t", name == "gid_t":
		return false
	}
	return true
}

// scalar is the type of a C type name in size bytes; size 0 takes the C type's
// own.
func (p *formatParser) scalar(typ string, size int, signed bool) *types.Type {
	if i := strings.LastIndexByte(typ, '*'); i >= 0 {
		return p.pointer(strings.TrimSpace(typ[:i]))
	}
	name := strings.TrimPrefix(strings.TrimPrefix(typ, "const "), "volatile ")
	if strings.HasPrefix(name, "enum ") {
		if t, err := p.lookup(name); err == nil && (size == 0 || t.Size == size) {
			return t
		}
	}
	if (name == "bool" || name == "_Bool") && size <= 1 {
		return types.TBool
	}
	if size == 0 {
		n, ok := cSizes[name]
		if !ok {
			if t, err := p.lookup(name); err == nil {
				return t
			}
			return types.TUint8
		}
		size, signed = n, cSigned(name)
	}
	if size != 1 && size != 2 && size != 4 && size != 8 {
		return p.object(typ, size)
	}
	return types.NewInt(size, signed)
}

// pointer is a pointer to what the C type names. System calls are given user
// addresses; all other tracepoints record kernel ones.
func (p *formatParser) pointer(elem string) *types.Type {
	space := types.Kernel
	if p.syscall {
		space = types.User
	}
	for _, word := range []string{"const", "__user", "__seg_gs", "__percpu", "volatile"} {
		if rest, ok := strings.CutSuffix(elem, word); ok && (rest == "" || strings.HasSuffix(rest, " ") || strings.HasSuffix(rest, "*")) {
			elem = strings.TrimSpace(rest)
		}
		elem = strings.TrimSpace(strings.TrimPrefix(elem, word+" "))
	}
	if i := strings.LastIndexByte(elem, '*'); i >= 0 {
		return types.NewPointer(p.pointer(strings.TrimSpace(elem[:i])), space)
	}
	switch elem {
	case "void":
		return types.NewPointer(types.TVoid, space)
	case "char":
		return types.NewPointer(types.TInt8, space)
	}
	if n, ok := cSizes[elem]; ok {
		return types.NewPointer(types.NewInt(n, cSigned(elem)), space)
	}
	if t, err := p.lookup(elem); err == nil {
		return types.NewPointer(t.InSpace(space), space)
	}
	return types.NewPointer(types.TVoid, space)
}

// object is a struct stored in the record itself, or its bytes if BTF does not
// know it.
func (p *formatParser) object(typ string, size int) *types.Type {
	if t, err := p.lookup(strings.TrimPrefix(typ, "const ")); err == nil && t.Size == size {
		return t.InSpace(types.Ctx)
	}
	return types.NewArray(types.TUint8, size).InSpace(types.Ctx)
}
