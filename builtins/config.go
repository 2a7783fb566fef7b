package builtins

import (
	"encoding/binary"

	"github.com/gotrace/gotrace/lang/config"
	"github.com/gotrace/gotrace/lang/types"
)

func settings() *Def {
	return &Def{
		Name: "config",
		Doc: Doc{
			Summary:  "The current settings, as a record.",
			Examples: []string{`begin { print(config.max_strlen); }`},
		},
		Check: func(c Checker, call *Call) *types.Type {
			names, values := settingValues(c.Config())
			var fields []*types.Type
			for _, v := range values {
				switch v := v.(type) {
				case bool:
					fields = append(fields, types.TBool)
				case int:
					fields = append(fields, types.TUint64)
				case string:
					fields = append(fields, types.NewString(len(v)+1))
				default:
					panic("builtins: config: a setting of another type")
				}
			}
			t := types.NewRecord(names, fields)
			data := make([]byte, t.Size)
			for i, v := range values {
				at := data[t.Fields[i].Off:]
				switch v := v.(type) {
				case bool:
					if v {
						at[0] = 1
					}
				case int:
					binary.NativeEndian.PutUint64(at, uint64(v))
				case string:
					copy(at, v)
				}
			}
			call.Data = data
			return t
		},
		Store: func(g Gen, call *Call, dst Dest) {
			data := call.Data.([]byte)
			g.B().Copy(dst.Ptr, dst.Off, g.Rodata(data), len(data))
		},
	}
}

// settingValues returns the names and values of the current settings. A value is a
// bool, an int or a string.
func settingValues(c *config.Config) (names []string, values []any) {
	for _, v := range config.Vars() {
		if !v.Dead && v.Renamed == "" {
			names = append(names, v.Name)
			values = append(values, c.Get(v.Name))
		}
	}
	return names, values
}
