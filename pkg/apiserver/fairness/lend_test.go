package fairness

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"bonsai/pkg/golden"
)

// TestLend plays the cases of testdata/lend: paragraphs with a level to a line.
func TestLend(t *testing.T) {
	golden.Each(t, "testdata/lend/*.txt", ".output", func(t *testing.T, input string) string {
		var out strings.Builder
		for paragraph := range strings.SplitSeq(strings.TrimSpace(input), "\n\n") {
			title, lines, _ := strings.Cut(paragraph, "\n")
			needs := map[string]need{}
			for line := range strings.Lines(lines) {
				name, n := readNeed(t, strings.Fields(line))
				needs[name] = n
			}
			limits, fraction := lend(needs)
			fmt.Fprintf(&out, "%s\n", title)
			for _, name := range slices.Sorted(maps.Keys(limits)) {
				fmt.Fprintf(&out, "%s gets %d\n", name, limits[name])
			}
			fmt.Fprintf(&out, "fraction %.3f\n\n", fraction)
		}
		return out.String()
	})
}

func readNeed(t *testing.T, words []string) (string, need) {
	n := need{}
	for _, w := range words[1:] {
		name, text, _ := strings.Cut(w, "=")
		value, err := strconv.Atoi(text)
		require.True(t, err == nil || name == "exempt")
		switch name {
		case "nominal":
			n.nominal = value
		case "low":
			n.low = value
		case "high":
			n.bounds.high = value
		case "smoothed":
			n.smoothed = float64(value)
		case "used":
			n.high = float64(value)
		case "exempt":
			n.exempt = true
		default:
			require.Fail(t, "no such word", w)
		}
	}
	return words[0], n
}

// The suggested configuration divides the usual 600 seats as upstream does.
func TestDivideSuggested(t *testing.T) {
	specs := map[string]*flowcontrolv1.PriorityLevelConfigurationSpec{}
	levels, _ := Suggested()
	for _, l := range withMandatory(levels, mandatoryLevels()) {
		specs[l.Name] = &l.Spec
	}
	got := map[string][3]int{}
	for name, b := range divide(specs, 600) {
		got[name] = [3]int{b.nominal, b.low, b.high}
	}
	require.Equal(t, map[string][3]int{
		"catch-all": {13, 13, 613}, "exempt": {0, 0, 600}, "global-default": {49, 24, 649}, "leader-election": {25, 25, 625},
		"node-high": {98, 73, 698}, "system": {74, 50, 674}, "workload-high": {98, 49, 698}, "workload-low": {245, 24, 845},
	}, got)
}

// TestPlan plays the story of the objects: what there is, and what is planned about it.
func TestPlan(t *testing.T) {
	levels, schemas := Suggested()
	levels = append(levels, automated(mandatoryLevels())...)
	schemas = append(schemas, automated(mandatorySchemas())...)
	for _, s := range schemas {
		s.Generation = 1
		s.Status.Conditions = []flowcontrolv1.FlowSchemaCondition{{Type: "Dangling", Status: "False", Reason: "Found",
			Message: fmt.Sprintf("This FlowSchema references the PriorityLevelConfiguration object named %q and it exists", s.Spec.PriorityLevelConfiguration.Name)}}
	}
	require.Empty(t, told(Plan(levels, schemas, metav1.Time{})), "all is as it should be")
	require.Len(t, told(Plan(nil, nil, metav1.Time{})), 8+11, "an empty cluster")

	change := func(what func(ls []*flowcontrolv1.PriorityLevelConfiguration, ss []*flowcontrolv1.FlowSchema)) []string {
		var ls []*flowcontrolv1.PriorityLevelConfiguration
		var ss []*flowcontrolv1.FlowSchema
		for _, l := range levels {
			ls = append(ls, l.DeepCopy())
		}
		for _, s := range schemas {
			ss = append(ss, s.DeepCopy())
		}
		what(ls, ss)
		return told(Plan(ls, ss, metav1.Time{}))
	}
	type L = []*flowcontrolv1.PriorityLevelConfiguration
	type S = []*flowcontrolv1.FlowSchema
	require.Equal(t, []string{"update system: system is not as it was meant"}, change(func(ls L, _ S) {
		*ls[0].Spec.Limited.NominalConcurrencyShares = 1
	}))
	require.Empty(t, change(func(ls L, _ S) {
		*ls[0].Spec.Limited.NominalConcurrencyShares = 1
		ls[0].Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "false"
	}), "somebody has taken it over")
	require.Equal(t, []string{"update system-nodes: system-nodes is not as it was meant"}, change(func(_ L, ss S) {
		ss[0].Annotations, ss[0].Generation, ss[0].Spec.MatchingPrecedence = nil, 2, 7 // changed, by somebody who knew no annotation
	}), "that it is theirs is written down")
	require.Equal(t, []string{`status system-nodes: say of flow schema system-nodes whether its priority level exists`}, change(func(_ L, ss S) {
		ss[0].Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "false"
		ss[0].Spec.PriorityLevelConfiguration.Name = "gone"
	}))
	require.Equal(t, []string{"create global-default: global-default is missing", "delete old: old was suggested by another version"},
		change(func(ls L, _ S) { ls[5].Name = "old" })[:2])
	require.Equal(t, []string{"update catch-all: catch-all is not as it was meant"}, change(func(ls L, _ S) {
		ls[7].Annotations[flowcontrolv1.AutoUpdateAnnotationKey] = "false"
	}), "but not of what is mandatory")
}

func told(actions []Action) (out []string) {
	for _, a := range actions {
		switch {
		case a.Create != nil:
			out = append(out, "create "+a.Create.GetName()+": "+a.Reason)
		case a.Update != nil:
			out = append(out, "update "+a.Update.GetName()+": "+a.Reason)
		case a.Status != nil:
			out = append(out, "status "+a.Status.GetName()+": "+a.Reason)
		default:
			out = append(out, "delete "+a.Delete.GetName()+": "+a.Reason)
		}
	}
	return out
}

// TestClassify asks of the suggested schemas whose each request is.
func TestClassify(t *testing.T) {
	f := New(Config{Seats: 600, Wait: time.Second, Now: time.Now})
	levels, schemas := Suggested()
	f.Configure(schemas, levels)
	for _, line := range []string{
		"{User: admin, Groups: [system:masters], Verb: get, Path: /metrics} exempt exempt",
		"{User: jane, Groups: [system:authenticated], Verb: list, IsResource: true, Resource: pods} global-default global-default",
		"{User: nobody, Verb: list, IsResource: true, Resource: pods} catch-all catch-all",
		"{User: x, Groups: [system:unauthenticated], Verb: get, Path: /readyz/ping} probes exempt",
		"{User: x, Groups: [system:unauthenticated], Verb: get, Path: /readyzzz} global-default global-default",
		"{User: 'system:node:a', Groups: [system:nodes], Verb: update, IsResource: true, Group: coordination.k8s.io, Resource: leases, Namespace: kube-node-lease} system-node-high node-high",
		"{User: 'system:node:a', Groups: [system:nodes], Verb: patch, IsResource: true, Resource: nodes, Subresource: status} system-node-high node-high",
		"{User: 'system:node:a', Groups: [system:nodes], Verb: get, IsResource: true, Resource: nodes, Subresource: proxy} system-nodes system",
		"{User: 'system:node:a', Groups: [system:nodes], Verb: get, IsResource: true, Resource: pods, Namespace: a} system-nodes system",
		"{User: 'system:kube-scheduler', Verb: update, IsResource: true, Group: coordination.k8s.io, Resource: leases, Namespace: kube-system} system-leader-election leader-election",
		"{User: 'system:kube-scheduler', Verb: delete, IsResource: true, Group: coordination.k8s.io, Resource: leases, Namespace: kube-system} kube-scheduler workload-high",
		"{User: 'system:serviceaccount:kube-system:job-controller', Verb: list, IsResource: true, Resource: pods} kube-system-service-accounts workload-high",
		"{User: 'system:serviceaccount:default:web', Groups: [system:serviceaccounts], Verb: list, IsResource: true, Resource: pods} service-accounts workload-low",
	} {
		end := strings.LastIndex(line, "}") + 1
		var r Request
		require.NoError(t, yaml.UnmarshalStrict([]byte(line[:end]), &r))
		s := f.rules.Load().classify(&r)
		require.Equal(t, strings.TrimSpace(line[end:]), s.name+" "+s.level.name, line)
	}
}

// Who is turned away again and again is told to stay away longer, and shorter when it gets quiet.
func TestRetryAfter(t *testing.T) {
	var r retry
	var got []int64
	now := time.Unix(1_000_000, 0)
	for range 12 {
		for range 20 {
			r.refused(now)
		}
		now = now.Add(time.Second)
		got = append(got, r.after)
	}
	require.Equal(t, []int64{1, 2, 2, 4, 4, 4, 4, 8, 8, 8, 8, 8}, got)
	for range 40 {
		now = now.Add(time.Minute)
		got = append(got, r.refused(now))
	}
	require.Equal(t, int64(1), got[len(got)-1])
}

func TestWork(t *testing.T) {
	many := Stored{Objects: 5000, Bytes: 5000 * 3000}
	require.Equal(t, Work{Seats: 8}, List(many, 0, false, 8), "a level's width")
	require.Equal(t, Work{Seats: 10}, List(many, 0, false, 0), "a megabyte at once")
	require.Equal(t, Work{Seats: 3}, List(many, 100, false, 8))
	require.Equal(t, Work{Seats: 1}, List(many, 0, true, 8))
	require.Equal(t, Work{Seats: 1}, List(Stored{}, 0, false, 8))
	require.Equal(t, Work{Seats: 1}, Write(9, 8))
	require.Equal(t, Work{Seats: 1, After: 2, Longer: 5 * time.Millisecond}, Write(20, 8))
	require.Equal(t, Work{Seats: 1, After: 8, Longer: 62500 * time.Microsecond}, Write(1000, 8), "as much work, but longer")
}
