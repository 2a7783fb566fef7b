package profile

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/pprof/profile"

	"github.com/gotrace/gotrace/runtime/output"
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
	b.out.TimeNanos, b.out.DurationNanos = run.Start.UnixNano(), int64(run.Duration)
	columns := 0
	for _, p := range profiles {
		columns += len(p.types)
	}
	b.mainProgram(profiles)
	first := 0
	for _, p := range profiles {
		name := strings.TrimPrefix(p.name, "@")
		if name == "" {
			name = "samples"
		}
		for _, t := range p.types {
			typ := name
			if t == entries && len(p.types) > 1 {
				typ += "_entries"
			}
			b.out.SampleType = append(b.out.SampleType, &profile.ValueType{Type: typ, Unit: pprofUnit})
		}
		for i := range p.list {
			s := &p.list[i]
			values := make([]int64, columns)
			copy(values[first:], s.values)
			sample := &profile.Sample{Value: values, Location: b.locations(s.stack)}
			for i, l := range s.labels {
				if sample.Label == nil {
					sample.Label = map[string][]string{}
				}
				sample.Label[fmt.Sprintf("key%d", i+1)] = []string{strings.ToValidUTF8(l, "\ufffd")}
			}
			b.out.Sample = append(b.out.Sample, sample)
		}
		first += len(p.types)
	}
	b.out.DefaultSampleType = b.out.SampleType[len(profiles[0].types)-1].Type
	if err := b.out.CheckValid(); err != nil {
		return fmt.Errorf("bug: %w", err)
	}
	return b.out.Write(w)
}

// pprofUnit is the unit of plain numbers in pprof.
const pprofUnit = "count"

// builder builds the tables of a profile.
type builder struct {
	out   *profile.Profile
	files map[string]*profile.Mapping
	funcs map[[2]string]*profile.Function
	locs  map[locKey]*profile.Location
}

// locKey identifies a location. The lines tell processes apart that generate code at
// the same addresses.
type locKey struct {
	mapping *profile.Mapping
	addr    uint64
	lines   string
}

func newBuilder() *builder {
	return &builder{
		out: &profile.Profile{}, files: map[string]*profile.Mapping{},
		funcs: map[[2]string]*profile.Function{}, locs: map[locKey]*profile.Location{},
	}
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
func (b *builder) locations(stack []frame) []*profile.Location {
	var out []*profile.Location
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

func (b *builder) location(at []frame) *profile.Location {
	f := &at[len(at)-1]
	m := b.mapping(f)
	key := locKey{mapping: m, addr: f.Addr}
	if f.Module != "" && !f.kernel && f.Module[0] == '/' || f.BuildID != "" {
		key.addr = f.InFile
		if m != nil {
			key.addr += m.Start
		}
	}
	var text strings.Builder
	for i := range at {
		fmt.Fprintf(&text, "%s\x00%s\x00%d\x00", at[i].Name, at[i].File, at[i].Line)
	}
	key.lines = text.String()
	if l := b.locs[key]; l != nil {
		return l
	}
	l := &profile.Location{ID: uint64(len(b.out.Location) + 1), Mapping: m, Address: key.addr}
	for i := range at {
		if at[i].Name != "" {
			l.Line = append(l.Line, profile.Line{Function: b.function(&at[i]), Line: int64(at[i].Line)})
		}
	}
	b.locs[key] = l
	b.out.Location = append(b.out.Location, l)
	return l
}

func (b *builder) function(f *frame) *profile.Function {
	name, file := strings.ToValidUTF8(f.Name, "\ufffd"), strings.ToValidUTF8(f.File, "\ufffd")
	key := [2]string{name, file}
	fn := b.funcs[key]
	if fn == nil {
		fn = &profile.Function{ID: uint64(len(b.out.Function) + 1), Name: name, SystemName: name, Filename: file}
		b.funcs[key] = fn
		b.out.Function = append(b.out.Function, fn)
	}
	return fn
}

// mappingSize is the size of the address range of each file in the profile. Processes
// map a file at different addresses, so a location has the offset in its file.
const mappingSize = 1 << 40

func (b *builder) mapping(f *frame) *profile.Mapping {
	name := f.Module
	if f.kernel {
		name = "[kernel.kallsyms]"
	}
	key := name + "\x00" + f.BuildID
	if name == "" && f.BuildID == "" {
		return nil
	}
	m := b.files[key]
	if m == nil {
		id := uint64(len(b.out.Mapping) + 1)
		m = &profile.Mapping{
			ID: id, File: strings.ToValidUTF8(name, "\ufffd"), BuildID: f.BuildID,
			Start: id * mappingSize, Limit: (id + 1) * mappingSize,
		}
		if f.kernel {
			m.Start, m.Limit = 1<<63, 1<<64-1
		}
		b.files[key] = m
		b.out.Mapping = append(b.out.Mapping, m)
	}
	if f.Name != "" {
		m.HasFunctions = true
	}
	if f.File != "" {
		m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames = true, true, true
	}
	return m
}
