package resource

import (
	"fmt"
	"math"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

const (
	maxQueues       = 10_000_000
	shuffleHashBits = 60
)

func priorityLevels() *Row {
	limited, queuing := flowcontrolv1.LimitedPriorityLevelConfiguration{}.SwaggerDoc(), flowcontrolv1.QueuingConfiguration{}.SwaggerDoc()
	return Row{
		Resource: "prioritylevelconfigurations", Singular: "prioritylevelconfiguration", Kind: "PriorityLevelConfiguration",
		Versions: []Version{servedAs[flowcontrolv1.PriorityLevelConfiguration,
			flowcontrolv1.PriorityLevelConfigurationList](flowcontrolv1.SchemeGroupVersion)},
		Prefix:  "prioritylevelconfigurations",
		Unowned: map[string][]string{"status": {"metadata", "spec"}},
		Columns: []metav1.TableColumnDefinition{
			nameColumn,
			column("Type", flowcontrolv1.PriorityLevelConfigurationSpec{}.SwaggerDoc()["type"]),
			column("NominalConcurrencyShares", limited["nominalConcurrencyShares"]),
			column("Queues", queuing["queues"]),
			column("HandSize", queuing["handSize"]),
			column("QueueLengthLimit", queuing["queueLengthLimit"]),
			ageColumn,
		},
		UnconditionalUpdate: true,
	}.with(rules(Rules[*flowcontrolv1.PriorityLevelConfiguration]{
		Default: defaultPriorityLevel,
		PrepareCreate: func(p *flowcontrolv1.PriorityLevelConfiguration) {
			p.Status, p.Generation = flowcontrolv1.PriorityLevelConfigurationStatus{}, 1
		},
		PrepareUpdate: func(next, old *flowcontrolv1.PriorityLevelConfiguration) {
			next.Status = old.Status
			raiseGeneration(next, old, !same(next.Spec, old.Spec))
		},
		Validate: func(p *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
			return join(validateMeta(p, false, subdomainName), validatePriorityLevelBody(p))
		},
		ValidateUpdate: func(next, old *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
			return join(validateMetaUpdate(next, old), validateMeta(next, false, subdomainName), validatePriorityLevelBody(next))
		},
		PrepareStatus: func(next, old *flowcontrolv1.PriorityLevelConfiguration) {
			metav1.ResetObjectMetaForStatus(next, old)
			next.Spec = old.Spec
		},
		ValidateStatus: func(next, old *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
			return join(validateMetaUpdate(next, old), validatePriorityLevelStatus(next))
		},
		Cells: priorityLevelCells,
	}))
}

func defaultPriorityLevel(p *flowcontrolv1.PriorityLevelConfiguration) {
	if e := p.Spec.Exempt; e != nil {
		orPtr(&e.NominalConcurrencyShares, 0)
		orPtr(&e.LendablePercent, 0)
	}
	l := p.Spec.Limited
	if l == nil {
		return
	}
	orPtr(&l.NominalConcurrencyShares, 30)
	orPtr(&l.LendablePercent, 0)
	if q := l.LimitResponse.Queuing; q != nil {
		or(&q.HandSize, 8)
		or(&q.Queues, 64)
		or(&q.QueueLengthLimit, 50)
	}
}

func priorityLevelCells(p *flowcontrolv1.PriorityLevelConfiguration, now time.Time) []any {
	none := any("<none>")
	shares, queues, hand, length := none, none, none, none
	if l := p.Spec.Limited; l != nil {
		if l.NominalConcurrencyShares != nil {
			shares = int64(*l.NominalConcurrencyShares)
		}
		if q := l.LimitResponse.Queuing; q != nil {
			queues, hand, length = int64(q.Queues), int64(q.HandSize), int64(q.QueueLengthLimit)
		}
	}
	return []any{p.Name, string(p.Spec.Type), shares, queues, hand, length, age(p, now)}
}

// validatePriorityLevelBody is all but the metadata. Of the mandatory levels, only how much the exempt one counts may be changed.
func validatePriorityLevelBody(p *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	path := newPlace("spec")
	errs := validatePriorityLevelSpec(p, path)
	for _, m := range MandatoryPriorityLevels() {
		if m.Name != p.Name {
			continue
		}
		want, words := m.Spec, "spec of '%s' must equal the fixed value"
		if p.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt {
			want.Exempt, words = p.Spec.Exempt, "spec of '%s' except the 'spec.exempt' field must equal the fixed value"
		}
		if !same(p.Spec, want) {
			errs = append(errs, invalidGoAt(path, p.Spec, fmt.Sprintf(words, p.Name)))
		}
	}
	return append(errs, validatePriorityLevelStatus(p)...)
}

func validatePriorityLevelSpec(p *flowcontrolv1.PriorityLevelConfiguration, path *place) field.ErrorList {
	s := &p.Spec
	isExempt := s.Type == flowcontrolv1.PriorityLevelEnablementExempt
	errs := when((p.Name == flowcontrolv1.PriorityLevelConfigurationNameExempt) != isExempt,
		invalidAt(path.Child("type"), s.Type, "must be 'Exempt' if and only if `name` is 'exempt'"))
	switch s.Type {
	case "":
	case flowcontrolv1.PriorityLevelEnablementExempt:
		errs = append(errs, given(s.Exempt, path.Child("exempt"), exemptLevel)...)
	case flowcontrolv1.PriorityLevelEnablementLimited:
		errs = append(errs, given(s.Limited, path.Child("limited"), limitedLevel)...)
	default:
		errs = append(errs, notSupportedAt(path.Child("type"), s.Type, []string{"Exempt", "Limited"}))
	}
	isLimited := s.Type == flowcontrolv1.PriorityLevelEnablementLimited
	return join(errs, declared(join(
		when(!isExempt && s.Exempt != nil, forbiddenAt(path.Child("exempt"), "")),
		memberOf(s.Limited != nil, isLimited, path.Child("limited")),
		when(s.Type == "", requiredAt(path.Child("type"), "")),
		given(s.Limited, path.Child("limited"), func(l *flowcontrolv1.LimitedPriorityLevelConfiguration, path *place) field.ErrorList {
			return responseUnion(&l.LimitResponse, path.Child("limitResponse"))
		}),
	)))
}

// responseUnion is what is declared of a response: it holds whatever the type of the level.
func responseUnion(r *flowcontrolv1.LimitResponse, path *place) field.ErrorList {
	return join(
		memberOf(r.Queuing != nil, r.Type == flowcontrolv1.LimitResponseTypeQueue, path.Child("queuing")),
		when(r.Type == "", requiredAt(path.Child("type"), "")),
	)
}

// memberOf is the declared rule for the member of a union: it is there if the union is of its type, and only then.
func memberOf(there, wanted bool, path *place) field.ErrorList {
	return join(when(wanted && !there, requiredAt(path, "")), when(there && !wanted, forbiddenAt(path, "")))
}

func exemptLevel(e *flowcontrolv1.ExemptPriorityLevelConfiguration, path *place) field.ErrorList {
	return join(
		given(e.NominalConcurrencyShares, path.Child("nominalConcurrencyShares"), notNegative),
		given(e.LendablePercent, path.Child("lendablePercent"), percent),
	)
}

func limitedLevel(l *flowcontrolv1.LimitedPriorityLevelConfiguration, path *place) field.ErrorList {
	errs := join(
		given(l.NominalConcurrencyShares, path.Child("nominalConcurrencyShares"), notNegative),
		limitResponse(&l.LimitResponse, path.Child("limitResponse")),
		given(l.LendablePercent, path.Child("lendablePercent"), percent),
	)
	if b := l.BorrowingLimitPercent; b != nil && *b < 0 {
		errs = append(errs, invalidAt(path.Child("borrowingLimitPercent"), *b, "if specified, must be a non-negative integer"))
	}
	return errs
}

func notNegative(n *int32, path *place) field.ErrorList {
	return when(*n < 0, invalidAt(path, *n, "must be a non-negative integer"))
}

func percent(n *int32, path *place) field.ErrorList {
	return when(*n < 0 || *n > 100, invalidAt(path, *n, "must be between 0 and 100, inclusive"))
}

func limitResponse(r *flowcontrolv1.LimitResponse, path *place) field.ErrorList {
	switch r.Type {
	case flowcontrolv1.LimitResponseTypeReject, "":
		return nil
	case flowcontrolv1.LimitResponseTypeQueue:
		return given(r.Queuing, path.Child("queuing"), levelQueues)
	}
	return field.ErrorList{notSupportedAt(path.Child("type"), r.Type, []string{"Queue", "Reject"})}
}

func levelQueues(q *flowcontrolv1.QueuingConfiguration, path *place) field.ErrorList {
	queues, hand := path.Child("queues"), path.Child("handSize")
	errs := when(q.QueueLengthLimit <= 0, invalidAt(path.Child("queueLengthLimit"), q.QueueLengthLimit, "must be positive"))
	switch {
	case q.Queues <= 0:
		errs = append(errs, invalidAt(queues, q.Queues, "must be positive"))
	case q.Queues > maxQueues:
		errs = append(errs, invalidAt(queues, q.Queues, fmt.Sprintf("must not be greater than %d", maxQueues)))
	}
	switch {
	case q.HandSize <= 0:
		errs = append(errs, invalidAt(hand, q.HandSize, "must be positive"))
	case q.HandSize > q.Queues:
		errs = append(errs, invalidAt(hand, q.HandSize, fmt.Sprintf("should not be greater than queues (%d)", q.Queues)))
	case handBits(q.Queues, q.HandSize) > shuffleHashBits:
		errs = append(errs, invalidAt(hand, q.HandSize, fmt.Sprintf(
			"required entropy bits of deckSize %d and handSize %d should not be greater than %d", q.Queues, q.HandSize, shuffleHashBits)))
	}
	return errs
}

// handBits is how many bits of a hash it takes to deal a hand of that size from so many queues.
func handBits(queues, hand int32) int {
	bits := 0.0
	for i := range min(hand, shuffleHashBits+1) { // a hand that large is too large whatever the number of queues
		bits += math.Log2(float64(queues - i))
	}
	return int(math.Ceil(bits))
}

func validatePriorityLevelStatus(p *flowcontrolv1.PriorityLevelConfiguration) field.ErrorList {
	seen := taken{}
	return each(p.Status.Conditions, newPlace("status", "conditions"),
		func(c *flowcontrolv1.PriorityLevelConfigurationCondition, path *place) field.ErrorList {
			return conditionType(string(c.Type), path.Child("type"), seen)
		})
}
