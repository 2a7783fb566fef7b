package profile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gotrace/gotrace/runtime/output"
	"github.com/gotrace/gotrace/runtime/output/protowire"
)

// Run is the time of a profile.
type Run struct {
	Start    time.Time
	Duration time.Duration
}

// WritePprof writes a profile in the format of pprof. Each map is a sample
// type with the map's name. Stats have a second sample type, with "_entries"
// added, for the number of values. Labels are named key1, key2 and so on by their
// place in the key.
func WritePprof(w io.Writer, maps []output.Map, run Run) error {
	profiles, err := read(maps)
	if err != nil {
		return err
	}
	b := newBuilder()
	columns := 0
	for _, p := range profiles {
		columns += len(p.types)
	}
	b.mainProgram(profiles)
	first := 0
	for i, p := range profiles {
		name := strings.TrimPrefix(p.name, "@")
		if name == "" {
			name = "samples"
		}
		typ := name
		for _, t := range p.types {
			typ = name
			if t == entries && len(p.types) > 1 {
				typ += "_entries"
			}
			var m protowire.Message
			m.Number(1, b.text(typ))
			m.Number(2, b.text(pprofUnit))
			b.out.Bytes(profileSampleType, m)
		}
		for i := range p.list {
			s := &p.list[i]
			values := make([]uint64, columns)
			for i, v := range s.values {
				values[first+i] = uint64(v)
			}
			var m protowire.Message
			m.Varints(1, b.locations(s.stack))
			m.Varints(2, values)
			for i, l := range s.labels {
				var label protowire.Message
				label.Number(1, b.text(fmt.Sprintf("key%d", i+1)))
				label.Number(2, b.text(l))
				m.Bytes(3, label)
			}
			b.out.Bytes(profileSample, m)
		}
		first += len(p.types)
		if i == 0 {
			b.out.Number(profileDefaultType, b.text(typ))
		}
	}
	b.out.Number(profileTime, uint64(run.Start.UnixNano()))
	b.out.Number(profileDuration, uint64(run.Duration))
	z := gzip.NewWriter(w)
	if _, err := z.Write(b.finish()); err != nil {
		return err
	}
	return z.Close()
}

// pprofUnit is the unit of plain numbers in pprof.
const pprofUnit = "count"

// Fields of a profile in pprof's proto/profile.proto. Those of other messages are
// numbered where they are written.
const (
	profileSampleType  = 1
	profileSample      = 2
	profileMapping     = 3
	profileLocation    = 4
	profileFunction    = 5
	profileText        = 6
	profileTime        = 9
	profileDuration    = 10
	profileDefaultType = 14
)

// builder collects the tables of a profile. Entries of tables are numbered from 1.
type builder struct {
	out      protowire.Message
	texts    map[string]uint64 // numbers of texts, from 0
	order    []string          // texts by number
	mappings []*mapping
	files    map[string]*mapping
	funcs    map[[2]string]uint64
	locs     map[locKey]uint64
}

// mapping is a file that holds code. The other tables are written as they grow. A mapping
// is complete only at the end.
type mapping struct {
	id, start, limit uint64
	file, buildID    string
	functions, lines bool // whether there are names of functions, and files with lines
}

// locKey identifies a location. The lines distinguish processes that generate code at the
// same addresses.
type locKey struct {
	mapping *mapping
	addr    uint64
	lines   string
}

func newBuilder() *builder {
	b := &builder{
		texts: map[string]uint64{}, files: map[string]*mapping{},
		funcs: map[[2]string]uint64{}, locs: map[locKey]uint64{},
	}
	b.text("") // has number 0
	return b
}

// text returns the number of a text in the table of texts.
func (b *builder) text(s string) uint64 {
	s = strings.ToValidUTF8(s, "\ufffd")
	n, ok := b.texts[s]
	if !ok {
		n = uint64(len(b.order))
		b.texts[s] = n
		b.order = append(b.order, s)
	}
	return n
}

// finish adds the tables that are complete only at the end and returns the profile.
func (b *builder) finish() []byte {
	for _, m := range b.mappings {
		var p protowire.Message
		p.Number(1, m.id)
		p.Number(2, m.start)
		p.Number(3, m.limit)
		p.Number(5, b.text(m.file))
		p.Number(6, b.text(m.buildID))
		p.Flag(7, m.functions)
		p.Flag(8, m.lines)  // file names
		p.Flag(9, m.lines)  // line numbers
		p.Flag(10, m.lines) // inlined functions
		b.out.Bytes(profileMapping, p)
	}
	for _, s := range b.order {
		b.out.String(profileText, s)
	}
	return b.out
}

// mainProgram makes the file of the first function called main the profile's first
// mapping. pprof takes this mapping for the program.
func (b *builder) mainProgram(profiles []samples) {
	for _, p := range profiles {
		for _, s := range p.list {
			for i := len(s.stack) - 1; i >= 0; i-- {
				if f := &s.stack[i]; !f.kernel && (f.Name == "main" || f.Name == "main.main") {
					b.mapping(f)
					return
				}
			}
		}
	}
}

// locations returns the locations of a stack. In the stack, functions that were inlined
// at an address precede the function that contains the code.
func (b *builder) locations(stack []frame) []uint64 {
	var out []uint64
	for len(stack) > 0 {
		n := 1
		for n < len(stack) && stack[n-1].Inlined {
			n++
		}
		out = append(out, b.location(stack[:n]))
		stack = stack[n:]
	}
	return out
}

// location returns the number of a location.
func (b *builder) location(at []frame) uint64 {
	f := &at[len(at)-1]
	m := b.mapping(f)
	key := locKey{mapping: m, addr: f.Addr}
	if f.Module != "" && !f.kernel && f.Module[0] == '/' || f.BuildID != "" {
		key.addr = f.InFile
		if m != nil {
			key.addr += m.start
		}
	}
	var text bytes.Buffer
	for i := range at {
		fmt.Fprintf(&text, "%s\x00%s\x00%d\x00", at[i].Name, at[i].File, at[i].Line)
	}
	key.lines = text.String()
	if id := b.locs[key]; id != 0 {
		return id
	}
	id := uint64(len(b.locs) + 1)
	b.locs[key] = id
	var p protowire.Message
	p.Number(1, id)
	if m != nil {
		p.Number(2, m.id)
	}
	p.Number(3, key.addr)
	for i := range at {
		if at[i].Name != "" {
			var line protowire.Message
			line.Number(1, b.function(&at[i]))
			line.Number(2, uint64(at[i].Line))
			p.Bytes(4, line)
		}
	}
	b.out.Bytes(profileLocation, p)
	return id
}

// function returns the number of a function.
func (b *builder) function(f *frame) uint64 {
	key := [2]string{f.Name, f.File}
	if id := b.funcs[key]; id != 0 {
		return id
	}
	id := uint64(len(b.funcs) + 1)
	b.funcs[key] = id
	var p protowire.Message
	p.Number(1, id)
	p.Number(2, b.text(f.Name))
	p.Number(3, b.text(f.Name)) // the name in the symbol table
	p.Number(4, b.text(f.File))
	b.out.Bytes(profileFunction, p)
	return id
}

// mappingSize is the size of the address range that each file gets. Processes map a file
// at different addresses, so locations have its offsets instead.
const mappingSize = 1 << 40

func (b *builder) mapping(f *frame) *mapping {
	name := f.Module
	if f.kernel {
		name = "[kernel.kallsyms]"
	}
	if name == "" && f.BuildID == "" {
		return nil
	}
	key := name + "\x00" + f.BuildID
	m := b.files[key]
	if m == nil {
		id := uint64(len(b.mappings) + 1)
		m = &mapping{id: id, file: name, buildID: f.BuildID, start: id * mappingSize, limit: (id + 1) * mappingSize}
		if f.kernel {
			m.start, m.limit = 1<<63, 1<<64-1
		}
		b.files[key] = m
		b.mappings = append(b.mappings, m)
	}
	m.functions = m.functions || f.Name != ""
	m.lines = m.lines || f.File != ""
	return m
}
