package admission

import (
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/meter"

	"github.com/prometheus/client_golang/prometheus"
)

// Measured is a chain with the time that it takes, plugin by plugin and as a whole, by upstream's names.
//
// A request passes two dozen plugins, most of them without anything to say, in less time than it takes to read the clock so often.
// So the clock is read once where one plugin ends and the next begins, for those only that have a half for the operation, and what is
// counted is found once: this costs a create two microseconds.
type Measured struct {
	chain           Chain
	admit, validate half
}

// operations are those that admission knows. Where something is kept for each, it is in this order.
var operations = [...]Operation{Create, Update, Delete, Connect}

func indexOf(o Operation) int {
	for i, each := range operations {
		if each == o {
			return i
		}
	}
	panic("admission of " + string(o)) // there are no others
}

// half is one half of all plugins: what they change, or what they refuse.
type half struct {
	whole [len(operations)]*results
	each  [][len(operations)]*results // by place in the chain; nil where plugin and operation have nothing to do with each other
}

// results are where it is counted what one plugin has taken: who let the request pass, and who refused it. They are made when they are
// needed, lest /metrics be full of what has never happened.
type results struct {
	of   func(rejected string) prometheus.Observer
	made [2]atomic.Pointer[prometheus.Observer]
}

func (r *results) took(d time.Duration, err error) {
	which := 0
	if err != nil {
		which = 1
	}
	to := r.made[which].Load()
	if to == nil {
		one := r.of(strconv.FormatBool(err != nil))
		to = &one
		r.made[which].Store(to)
	}
	(*to).Observe(d.Seconds())
}

var (
	creates    = []Operation{Create}
	updates    = []Operation{Update}
	writes     = []Operation{Create, Update}
	changes    = []Operation{Create, Update, Delete}
	everything = operations[:]
)

// halves are the operations of which plugins change the object, and those that they may refuse.
var halves = map[string][2][]Operation{
	"NamespaceLifecycle":                   {changes, nil},
	"LimitRanger":                          {writes, writes},
	"ServiceAccount":                       {writes, writes},
	"NodeRestriction":                      {changes, nil},
	"TaintNodesByCondition":                {creates, nil},
	"AlwaysPullImages":                     {writes, writes},
	"PodSecurity":                          {nil, writes},
	"Priority":                             {changes, changes},
	"DefaultTolerationSeconds":             {writes, nil},
	"DefaultStorageClass":                  {creates, nil},
	"StorageObjectInUseProtection":         {creates, nil},
	"OwnerReferencesPermissionEnforcement": {nil, writes},
	"PersistentVolumeClaimResize":          {nil, updates},
	"RuntimeClass":                         {creates, creates},
	"CertificateApproval":                  {nil, updates},
	"CertificateSigning":                   {nil, updates},
	"ClusterTrustBundleAttest":             {nil, writes},
	"CertificateSubjectRestriction":        {nil, creates},
	"DefaultIngressClass":                  {creates, nil},
	"DenyServiceExternalIPs":               {nil, writes},
	"PodTopologyLabels":                    {creates, nil},
	"PodResizeValidator":                   {nil, updates},
	"MutatingAdmissionPolicy":              {[]Operation{Create, Update, Connect}, nil},
	"MutatingAdmissionWebhook":             {everything, nil},
	"ValidatingAdmissionPolicy":            {nil, everything},
	"ValidatingAdmissionWebhook":           {nil, everything},
	"ResourceQuota":                        {nil, writes},
}

// Measure returns the chain with its metrics made in set.
func Measure(chain Chain, set *meter.Set) *Measured {
	bounds := []float64{.005, .025, .1, .5, 1, 2.5}
	whole := set.Classic("apiserver_admission_step_admission_duration_seconds", "Time in admission, of all its plugins.", bounds,
		"operation", "rejected", "type")
	each := set.Classic("apiserver_admission_controller_admission_duration_seconds", "Time in admission, by plugin.", bounds,
		"name", "operation", "rejected", "type")
	halfOf := func(which int, kind string) half {
		h := half{each: make([][len(operations)]*results, len(chain))}
		for i, op := range operations {
			h.whole[i] = &results{of: func(rejected string) prometheus.Observer { return whole.WithLabelValues(string(op), rejected, kind) }}
		}
		for i, p := range chain {
			for _, op := range halves[p.Name()][which] {
				h.each[i][indexOf(op)] = &results{of: func(rejected string) prometheus.Observer {
					return each.WithLabelValues(p.Name(), string(op), rejected, kind)
				}}
			}
		}
		return h
	}
	return &Measured{chain, halfOf(0, "admit"), halfOf(1, "validate")}
}

// Name is that of none of the plugins.
func (*Measured) Name() string { return "Measured" }

// Admit is the chain's.
func (m *Measured) Admit(ctx context.Context, a *Attributes) error {
	began, op := time.Now(), indexOf(a.Operation)
	err := inRounds(a, func() error { return m.admit.run(m.chain, op, func(p Plugin) error { return p.Admit(ctx, a) }) })
	m.admit.whole[op].took(time.Since(began), err)
	return err
}

// Validate is the chain's.
func (m *Measured) Validate(ctx context.Context, a *Attributes) error {
	began, op := time.Now(), indexOf(a.Operation)
	err := m.validate.run(m.chain, op, func(p Plugin) error { return p.Validate(ctx, a) })
	m.validate.whole[op].took(time.Since(began), err)
	return err
}

func (h *half) run(chain Chain, op int, do func(Plugin) error) error {
	at := time.Now()
	for i, p := range chain {
		err := do(p)
		if r := h.each[i][op]; r != nil {
			now := time.Now()
			r.took(now.Sub(at), err)
			at = now
		}
		if err != nil {
			return err
		}
	}
	return nil
}
