package runtime

import (
	"time"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/value"
)

// schedule determines when a session shows its maps while it runs.
type schedule struct {
	due       time.Time     // when to print the maps next, if Setup.Every is set
	shownErr  error         // error of printing them
	sampled   []*object.Map // for Setup.Samplers
	sampleDue time.Time     // when to pass them next
}

// sampleShare limits the time for samples: the pause before the next one is at least
// sampleShare times the duration of the last one.
const sampleShare = 20

// startSampling makes the list of the maps for Setup.Samplers: those of numbers and
// histograms without stacks in their keys, whose names would take long to find.
func (s *Instance) startSampling(now time.Time) {
	if len(s.opt.Samplers) == 0 {
		return
	}
	for i := range s.obj.Maps {
		m := &s.obj.Maps[i]
		stacks := false
		eachOpaque(m.Key, 0, func(t *types.Type, _ int) {
			d := s.defs.ForType(t.Name)
			stacks = stacks || d != nil && d.KeptStack != nil
		})
		switch s.metric(m.Value) {
		case value.Other, value.TimeLine:
		default:
			if !stacks && !m.Inner() {
				s.sampled = append(s.sampled, m)
			}
		}
	}
	s.sampleDue = s.tick(now)
}

// sample passes the maps to Setup.Samplers if it is time to. The caller holds the lock.
func (s *Instance) sample(now time.Time) {
	if len(s.sampled) == 0 || now.Before(s.sampleDue) {
		return
	}
	s.kernel.ReadTogether(func() {
		for _, m := range s.sampled {
			s.sampleMap(m)
		}
	})
	s.sampleDue = s.tick(now)
	if end := time.Now(); s.sampleDue.Before(end.Add(sampleShare * end.Sub(now))) {
		s.sampleDue = end.Add(sampleShare * end.Sub(now))
	}
}

// tick calls the Tick of each of Setup.Samplers. It returns the latest of their times.
func (s *Instance) tick(now time.Time) (next time.Time) {
	for _, o := range s.opt.Samplers {
		if t := o.Tick(now); t.After(next) {
			next = t
		}
	}
	return next
}

// sampleMap passes a map to Setup.Samplers. A map that cannot be read is left out, which is
// reported when the session prints it.
func (s *Instance) sampleMap(m *object.Map) {
	if values, err := s.mapValues(m, s.opt.SampleTop, false, never); err == nil {
		for _, o := range s.opt.Samplers {
			o.Sample(values)
		}
	}
}

// resetting passes the values of a map to Setup.Samplers, and then calls reset, which
// sets them to 0.
func (s *Instance) resetting(m *object.Map, reset func() error) error {
	for _, o := range s.sampled {
		if o == m {
			s.sampleMap(m)
			for _, o := range s.opt.Samplers {
				defer o.Cleared(m.Name)
			}
		}
	}
	return reset()
}
