package fairness

import (
	"testing"
	"time"

	"bonsai/pkg/resource"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
)

func mandatoryLevels() []*flowcontrolv1.PriorityLevelConfiguration {
	return resource.MandatoryPriorityLevels()
}
func mandatorySchemas() []*flowcontrolv1.FlowSchema { return resource.MandatoryFlowSchemas() }

// BenchmarkUncontended is what a request pays that need not wait: of the last schema but one, so that all before it are asked too.
func BenchmarkUncontended(b *testing.B) {
	f := New(Config{Seats: 600, Wait: time.Second, Now: time.Now})
	levels, schemas := Suggested()
	f.Configure(schemas, levels)
	r := &Request{User: "jane", Groups: []string{"developers", "system:authenticated"}, Verb: "create", IsResource: true,
		Resource: "pods", Namespace: "default"}
	now := time.Now()
	work := func(int) Work { return Work{Seats: 1} }
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			f.Enter(b.Context(), r, now, work).Leave(now)
		}
	})
}
