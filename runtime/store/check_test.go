package store

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// planned returns an object with two maps that are kept as spec says.
func planned(t *testing.T, spec Spec) *object.Object {
	t.Helper()
	l, err := Plan(here, []*Spec{spec.named("@m"), spec.named("@n")})
	if err != nil {
		t.Fatal(err)
	}
	o := &object.Object{Maps: l.Maps}
	for _, m := range l.Kernel {
		o.Kernel = append(o.Kernel, object.KernelMap{
			Name: m.Name, Type: ebpf.MapType(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags,
		})
	}
	return o
}

// fields returns the fields of a struct, and of the table that it points to, by
// name.
func fields(v reflect.Value, prefix string) map[string]reflect.Value {
	out := map[string]reflect.Value{}
	for i := range v.NumField() {
		f, name := v.Field(i), prefix+v.Type().Field(i).Name
		if f.Type() == reflect.TypeFor[*object.Table]() && !f.IsNil() {
			for name, f := range fields(f.Elem(), name+".") {
				out[name] = f
			}
		}
		out[name] = f
	}
	return out
}

// damage returns values for a field that differ from its own.
func damage(f reflect.Value) []any {
	switch f.Kind() {
	case reflect.Int:
		n := int(f.Int())
		return []any{n + 1, n - 1, n + 8, n - 8, n + 64, n + 1<<20, 0, -1, 1 << 40, -1 << 63, 1<<63 - 1}
	case reflect.Uint32:
		return []any{uint32(f.Uint() + 1), uint32(0)}
	case reflect.String:
		return []any{"", "other", f.String() + "x"}
	case reflect.Bool:
		return []any{!f.Bool()}
	case reflect.Pointer:
		return []any{reflect.Zero(f.Type()).Interface()}
	}
	return nil
}

// harmless lists the fields that do not affect the location of a map: names for readers,
// the number of entries, the management of memory.
var harmless = map[string]bool{"Name": true, "MetricName": true, "Span": true, "Max": true, "Reset": true, "MaxEntries": true, "Flags": true, "Frozen": true}

// TestCheck changes every field that determines the location of a map.
func TestCheck(t *testing.T) {
	specs := []Spec{{Key: types.TInt64, Value: count, Declared: true, LRU: true, Uses: Read}}
	for _, w := range ways {
		specs = append(specs, w.spec)
	}
	for i, spec := range specs {
		o := planned(t, spec)
		structs := map[string]reflect.Value{}
		for n := range o.Maps {
			structs[fmt.Sprint("map ", n)] = reflect.ValueOf(&o.Maps[n]).Elem()
		}
		for n := range o.Kernel {
			structs[fmt.Sprint("kernel map ", n)] = reflect.ValueOf(&o.Kernel[n]).Elem()
		}
		for what, v := range structs {
			for name, f := range fields(v, "") {
				was := reflect.ValueOf(f.Interface())
				for _, x := range damage(f) {
					x := reflect.ValueOf(x).Convert(f.Type())
					if x.Equal(was) || harmless[name] && !(name == "Name" && what[0] == 'k') {
						continue
					}
					f.Set(x)
					if err := Check(o); !errors.Is(err, object.ErrFormat) {
						t.Errorf("way %d (%s): %s with %s = %v instead of %v: %v", i, o.Maps[0].Store, what, name, x, was, err)
					}
				}
				f.Set(was)
			}
		}
		if err := Check(o); err != nil {
			t.Fatalf("way %d: %v", i, err)
		}
	}
}

// TestSpread checks which maps are spread, that their descriptions are accepted, and that
// damaged ones are not.
func TestSpread(t *testing.T) {
	old := here
	old.LookupPerCPU, old.CPUs = false, 3
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Key: types.TInt64, Value: count, Uses: Add | Read | OtherThread}, "spread"},
		{Spec{Value: count, Uses: Add | Read}, "spread"},
		{Spec{Key: types.TInt64, Value: count, Declared: true, LRU: true, Uses: Add | Read | OtherThread}, "spread"},
		{Spec{Key: types.TInt64, Value: types.TInt64, Uses: Read | Assign | OtherThread}, "hash"},
		{Spec{Value: count, Uses: Add}, "per-CPU slot"},
		{Spec{Key: types.TInt64, Value: count, Uses: Add | OtherThread}, "front"},
	} {
		l, err := Plan(old, []*Spec{c.spec.named("@m")})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Maps[0].Store; got != c.want {
			t.Errorf("%+v: kept as %s, want %s", c.spec, got, c.want)
		}
		if c.want != "spread" {
			continue
		}
		km := l.Kernel[0]
		if km.ValueSize != 4*count.Size {
			t.Errorf("%+v: values of %d bytes for three CPUs", c.spec, km.ValueSize)
		}
		for _, d := range []struct {
			keys, values int
			ok           bool
		}{{km.KeySize, km.ValueSize, true}, {km.KeySize, 2 * km.ValueSize, true}, {km.KeySize + 4, km.ValueSize, false}, {km.KeySize, km.ValueSize + 1, false}, {km.KeySize, 3 * count.Size, false}, {km.KeySize, 0, false}} {
			o := &object.Object{Maps: l.Maps, Kernel: []object.KernelMap{{Name: km.Name, Type: ebpf.MapType(km.Type), KeySize: d.keys, ValueSize: d.values, MaxEntries: km.MaxEntries}}}
			if err := Check(o); (err == nil) != d.ok {
				t.Errorf("%+v: %+v: %v", c.spec, d, err)
			}
		}
	}
}
