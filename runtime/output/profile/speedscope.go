package profile

import (
	"bufio"
	"encoding/json"
	"io"

	"github.com/gotrace/gotrace/runtime/output"
)

// The types below have the members of speedscope's file format that are used.

type speedscopeFile struct {
	Schema   string              `json:"$schema"`
	Exporter string              `json:"exporter"`
	Name     string              `json:"name"`
	Shared   speedscopeShared    `json:"shared"`
	Profiles []speedscopeProfile `json:"profiles"`
}

type speedscopeShared struct {
	Frames []speedscopeFrame `json:"frames"`
}

type speedscopeFrame struct {
	Name string `json:"name"`
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

// speedscopeProfile is a map. A sample is a list of indices of frames, the outermost
// first.
type speedscopeProfile struct {
	Type       string  `json:"type"`
	Name       string  `json:"name"`
	Unit       string  `json:"unit"`
	StartValue int64   `json:"startValue"`
	EndValue   int64   `json:"endValue"`
	Samples    [][]int `json:"samples"`
	Weights    []int64 `json:"weights"`
}

// WriteSpeedscope writes a file for speedscope, with a profile for each map. Samples with
// a value of 0 or less are left out.
func WriteSpeedscope(w io.Writer, title string, maps []output.Map) error {
	profiles, err := read(maps)
	if err != nil {
		return err
	}
	file := speedscopeFile{
		Schema: "https://www.speedscope.app/file-format-schema.json", Exporter: "gotrace", Name: title,
		Shared: speedscopeShared{[]speedscopeFrame{}},
	}
	numbers := map[speedscopeFrame]int{}
	for _, p := range profiles {
		out := speedscopeProfile{Type: "sampled", Name: p.name, Unit: "none", Samples: [][]int{}, Weights: []int64{}}
		for i := range p.list {
			s := &p.list[i]
			if s.weight() <= 0 {
				continue
			}
			sample := []int{}
			for _, t := range s.path("", false) {
				f := speedscopeFrame{Name: t.Name}
				if t.at != nil {
					f.File, f.Line = t.at.File, t.at.Line
				}
				n, ok := numbers[f]
				if !ok {
					n = len(numbers)
					numbers[f] = n
					file.Shared.Frames = append(file.Shared.Frames, f)
				}
				sample = append(sample, n)
			}
			out.Samples = append(out.Samples, sample)
			out.Weights = append(out.Weights, s.weight())
			out.EndValue = saturated(out.EndValue, s.weight())
		}
		file.Profiles = append(file.Profiles, out)
	}
	b := bufio.NewWriter(w)
	if err := json.NewEncoder(b).Encode(file); err != nil {
		return err
	}
	return b.Flush()
}
