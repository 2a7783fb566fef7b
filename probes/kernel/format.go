package kernel

import (
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/lazy"
	"github.com/gotrace/gotrace/runtime/outline"
)

// parseFormat parses a tracepoint's format file. It calls lookup for the types of
// fields that are pointers to structs, or enums.
//
// Width and sign are those in the file. For a system call's arguments, the file
// contains those of a register: 8 unsigned bytes. These arguments get the width and
// sign of their C types, so that the unused part of the register is not read.
func parseFormat(text, category string, lookup func(string) (*types.Type, error)) (*probes.TraceFormat, error) {
	tf := &probes.TraceFormat{ID: -1}
	p := formatParser{syscall: category == "syscalls", lookup: lookup}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if id, ok := strings.CutPrefix(line, "ID:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(id))
			if err != nil {
				return nil, outline.Errorf("format: bad ID %q", id)
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
			return nil, outline.Errorf("format: %q: %w", line, err)
		}
		tf.Size = max(tf.Size, f.Off+size)
		if strings.HasPrefix(f.Name, "common_") {
			continue
		}
		tf.Fields = append(tf.Fields, f)
		tf.Decls = append(tf.Decls, decl)
	}
	if tf.ID < 0 {
		return nil, outline.Errorf("format: no ID")
	}
	return tf, nil
}

type formatParser struct {
	syscall bool
	lookup  func(string) (*types.Type, error)
}

// field parses "TYPE NAME;\toffset:N;\tsize:N;\tsigned:N;".
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
			return f, 0, "", outline.Errorf("bad %s", key)
		}
		attr[key] = n
	}
	size = attr["size"]
	f.Off = attr["offset"]
	typ, name, dims := splitDecl(decl)
	if name == "" {
		return f, 0, "", outline.Errorf("no name")
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
		switch {
		case size != 1 && size != 2 && size != 4 && size != 8:
			f.Type = p.object(typ, size)
		case p.syscall && size == 8:
			f.Type = p.syscallArg(typ, signed)
		default:
			f.Type = p.scalar(typ, size, signed)
		}
		return f, size, decl, nil
	}
	n := 1
	for _, d := range dims {
		n *= max(d, 0)
	}
	if n <= 0 || n > 1<<16 || size%n != 0 { // the length is an unknown constant
		n = 0
	}
	base := strings.TrimPrefix(typ, "const ")
	switch {
	case base == "char" && size > 0:
		f.Type = types.NewChars(size).InSpace(types.Ctx)
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

// splitDecl splits "unsigned long args[6]" into type, name and dimensions. A
// dimension that is not a number is -1. In "char[] name", the type has the dimensions.
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

// cChar is C's char. Arrays of it are text.
var cChar = &types.Type{Kind: types.Int, Name: "char", Size: 1, Signed: true}

// cInts holds the C integer types that formats use, so that they need no BTF.
var cInts = lazy.Table[map[string]*types.Type]{New: func() map[string]*types.Type {
	m := map[string]*types.Type{}
	for t, names := range map[*types.Type]string{
		cChar:         "char",
		types.TInt8:   "signed char|s8|__s8|int8_t",
		types.TUint8:  "unsigned char|u8|__u8|uint8_t|bool|_Bool",
		types.TInt16:  "short|short int|s16|__s16|int16_t",
		types.TUint16: "unsigned short|short unsigned int|u16|__u16|uint16_t|__be16|__le16|umode_t",
		types.TInt32:  "int|signed int|s32|__s32|int32_t|pid_t|clockid_t|timer_t|mqd_t|key_t|key_serial_t|rwf_t|__kernel_rwf_t",
		types.TUint32: "unsigned|unsigned int|u32|__u32|uint32_t|__be32|__le32|uid_t|gid_t|qid_t|mode_t|dev_t|gfp_t",
		types.TInt64:  "long|long int|long long|long long int|s64|__s64|int64_t|ssize_t|off_t|loff_t",
		types.TUint64: "unsigned long|long unsigned int|unsigned long long|long long unsigned int|u64|__u64|uint64_t|__be64|__le64|size_t|aio_context_t|sector_t",
	} {
		for _, name := range strings.Split(names, "|") {
			m[name] = t
		}
	}
	return m
}}

// syscallArg returns the type of a system call's argument, which is at the start of its
// 8 bytes.
func (p *formatParser) syscallArg(typ string, signed bool) *types.Type {
	if strings.Contains(typ, "*") {
		return p.scalar(typ, 8, signed)
	}
	name := bare(typ)
	if t := cInts.Get()[name]; t != nil {
		return t
	}
	t, err := p.lookup(name)
	switch {
	case err != nil || t.Size > 8:
	case t.Kind == types.Pointer: // a typedef of a pointer
		return t.InSpace(types.User)
	case t.Kind == types.Int || t.Kind == types.Enum:
		return t
	}
	return types.NewInt(8, signed)
}

// bare returns a C type without its qualifiers.
func bare(typ string) string {
	return strings.TrimPrefix(strings.TrimPrefix(typ, "const "), "volatile ")
}

// scalar returns the type of a scalar with the name of a C type and a size in bytes.
// If size is 0, it is that of the C type.
func (p *formatParser) scalar(typ string, size int, signed bool) *types.Type {
	if i := strings.LastIndexByte(typ, '*'); i >= 0 {
		return p.pointer(strings.TrimSpace(typ[:i]))
	}
	name := bare(typ)
	if strings.HasPrefix(name, "enum ") {
		if t, err := p.lookup(name); err == nil && (size == 0 || t.Size == size) {
			return t
		}
	}
	if (name == "bool" || name == "_Bool") && size <= 1 {
		return types.TBool
	}
	if size == 0 {
		if t := cInts.Get()[name]; t != nil {
			return t
		}
		if t, err := p.lookup(name); err == nil {
			return t
		}
		return types.TUint8
	}
	if size != 1 && size != 2 && size != 4 && size != 8 {
		return p.object(typ, size)
	}
	return types.NewInt(size, signed)
}

// pointer returns the type of a pointer to a C type. Arguments of system calls are
// user addresses, all others are kernel addresses.
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
	if elem == "void" {
		return types.NewPointer(types.TVoid, space)
	}
	if t := cInts.Get()[elem]; t != nil {
		return types.NewPointer(t, space)
	}
	if t, err := p.lookup(elem); err == nil {
		return types.NewPointer(t.InSpace(space), space)
	}
	return types.NewPointer(types.TVoid, space)
}

// object returns the type of a struct in the record. If BTF lacks it, the type is an
// array of bytes.
func (p *formatParser) object(typ string, size int) *types.Type {
	if t, err := p.lookup(strings.TrimPrefix(typ, "const ")); err == nil && t.Size == size {
		return t.InSpace(types.Ctx)
	}
	return types.NewArray(types.TUint8, size).InSpace(types.Ctx)
}
