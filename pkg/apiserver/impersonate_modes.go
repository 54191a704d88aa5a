package apiserver

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"

	"bonsai/pkg/apiserver/auth"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/lru"
)

// There are several ways to be allowed to act as another. The old one, the verb impersonate, makes whoever has it the other in all
// respects. The constrained ones need two rights: to be that other (impersonate:MODE), and to do just what the request
// does while being him (impersonate-on:MODE:VERB, on the resource of the request). An agent may so list the pods that its node may list, and
// nothing else that its node may.
//
//	associated-node   the node that the pod of the service account runs on
//	arbitrary-node    any node
//	serviceaccount    a service account
//	user-info         anybody else, with groups, UID and extras
//
// They are tried in this order, the old one last, but before them that which let the same user's last request pass; if none lets this one
// pass, the refusal is that of the first that applies. Upstream also remembers for seconds what was allowed; here a question costs less
// than remembering.

type impersonationMode struct {
	name    string // empty for the old one
	applies func(as, by auth.User) bool
}

var impersonationModes = []impersonationMode{
	{"associated-node", func(as, by auth.User) bool { return isOnlyName(as) && onNode(by, as.Name) }},
	{"arbitrary-node", func(as, _ auth.User) bool { _, ok := nodeOf(as.Name); return ok && isOnlyName(as) }},
	{"serviceaccount", func(as, _ auth.User) bool { _, _, ok := auth.AccountOf(as.Name); return ok && isOnlyName(as) }},
	{"user-info", func(as, _ auth.User) bool {
		_, node := nodeOf(as.Name)
		_, _, account := auth.AccountOf(as.Name)
		return !node && !account
	}},
	{"", func(_, _ auth.User) bool { return true }},
}

// nodeOf is the node whose user name it is.
func nodeOf(user string) (string, bool) {
	name, ok := strings.CutPrefix(user, auth.NodePrefix)
	return name, ok && len(validation.NameIsDNSSubdomain(name, false)) == 0
}

// onNode tells whether by is a service account whose token is bound to a pod on the node with that user name.
func onNode(by auth.User, node string) bool {
	name, isNode := nodeOf(node)
	_, _, isAccount := auth.AccountOf(by.Name)
	return isNode && isAccount && slices.Equal(by.Extra[auth.NodeNameExtra], []string{name})
}

// mayBe returns as, complete with its groups, if c's user may be as for this request, and by which mode.
func (s *Server) mayBe(c *call, as auth.User) (who auth.User, mode string, err error) {
	var refusal error
	key := maphash.String(s.modes.seed, c.user.Name)
	last := s.modes.last(key)
	for _, m := range slices.Concat(last, impersonationModes) {
		if !m.applies(as, c.user) || len(last) > 0 && refusal != nil && m.name == last[0].name {
			continue
		}
		got, err := s.tryMode(c, m, as)
		if err == nil {
			s.modes.passed.Add(key, m)
			return got, m.name, nil
		}
		if refusal == nil {
			refusal = err
		}
	}
	return as, "", refusal
}

// passedModes remember the mode by which a user became another last. Users are told apart by a hash of their names, so that long ones take no
// room; if two are taken for one, the order of their refusals is all that changes.
type passedModes struct {
	seed   maphash.Seed
	passed *lru.Cache
}

const rememberedUsers = 10_000

func newPassedModes() passedModes {
	return passedModes{seed: maphash.MakeSeed(), passed: lru.New(rememberedUsers)}
}

// last is the mode that is remembered for a user, if there is one.
func (p passedModes) last(key uint64) []impersonationMode {
	if m, ok := p.passed.Get(key); ok {
		return []impersonationMode{m.(impersonationMode)}
	}
	return nil
}

func (s *Server) tryMode(c *call, m impersonationMode, as auth.User) (auth.User, error) {
	by := c.user
	if m.name == "associated-node" {
		// Which node it is does not matter to who is asked: the mode applies to the right one only.
		by.Extra = map[string][]string{"authentication.kubernetes.io/associated-node-keys": slices.Sorted(maps.Keys(by.Extra))}
	}
	if m.name != "" {
		on := c.t.attributes(by)
		on.Verb = "impersonate-on:" + m.name + ":" + on.Verb
		if err := s.mustBeAllowed(c, m.name, on); err != nil {
			return as, err
		}
	}
	q := modeQuestions{mode: m, by: by}
	if err := s.mustBeAllowed(c, m.name, q.who(as)); err != nil {
		return as, err
	}
	for _, part := range []func(auth.User) ([]auth.Request, *auth.Request, error){q.uid, q.groups, q.extras} {
		each, all, err := part(as)
		if err == nil {
			err = s.mustAllBeAllowed(c, m.name, each, all)
		}
		if err != nil {
			return as, err
		}
	}
	if len(as.Groups) == 0 {
		as.Groups = q.implied
	}
	as.Groups = withCommonGroup(as)
	return as, nil
}

// mustAllBeAllowed asks each question, unless there is one that stands for all and is allowed.
func (s *Server) mustAllBeAllowed(c *call, mode string, each []auth.Request, all *auth.Request) error {
	if all != nil && s.mustBeAllowed(c, mode, *all) == nil {
		return nil
	}
	for _, ask := range each {
		if err := s.mustBeAllowed(c, mode, ask); err != nil {
			return err
		}
	}
	return nil
}

// mustBeAllowed is the authorizers' answer as an error.
func (s *Server) mustBeAllowed(c *call, mode string, ask auth.Request) (err error) {
	began := s.now()
	defer func() { s.identity.impersonation.asked(mode, err, s.now().Sub(began)) }()
	d, reason, err := s.cfg.Authorizer.Authorize(c.ctx(), ask)
	switch {
	case d == auth.Allow:
		return nil
	case err != nil && reason != "":
		reason = fmt.Sprintf("%v: %s", err, reason)
	case err != nil:
		reason = err.Error()
	}
	return auth.Forbidden(ask, reason)
}

// modeQuestions words what the authorizers are asked: one question for each part of the wanted identity.
type modeQuestions struct {
	mode    impersonationMode
	by      auth.User
	implied []string // the groups that follow from the name
}

// manyQuestions is from how many on it is first asked, in one question, whether all names are allowed.
const manyQuestions = 4

func (q *modeQuestions) ask(group, resource, name string) auth.Request {
	verb := "impersonate"
	if q.mode.name != "" {
		verb += ":" + q.mode.name
	}
	return auth.Request{User: q.by, Verb: verb, IsResource: true, Group: group, Version: "v1", Resource: resource, Name: name}
}

// group is the API group of users and groups: none in the old mode.
func (q *modeQuestions) group() string {
	if q.mode.name == "" {
		return ""
	}
	return authenticationv1.GroupName
}

// who asks about the name.
func (q *modeQuestions) who(as auth.User) auth.Request {
	ask := q.ask(q.group(), "users", as.Name)
	if node, ok := nodeOf(as.Name); ok && q.mode.name != "" {
		ask.Resource, ask.Name = "nodes", node
		if q.mode.name == "associated-node" {
			ask.Name = "*"
		}
		q.implied = []string{auth.NodesGroup}
	}
	if namespace, name, ok := auth.AccountOf(as.Name); ok {
		ask.Resource, ask.Namespace, ask.Name = "serviceaccounts", namespace, name
		q.implied = accountGroups(namespace)
	}
	return ask
}

func (q *modeQuestions) uid(as auth.User) (each []auth.Request, all *auth.Request, err error) {
	if as.UID == "" {
		return nil, nil, nil
	}
	return []auth.Request{q.ask(authenticationv1.GroupName, "uids", as.UID)}, nil, nil
}

func (q *modeQuestions) groups(as auth.User) (each []auth.Request, all *auth.Request, err error) {
	ask := q.ask(q.group(), "groups", "")
	if q.mode.name != "" {
		if slices.Contains(as.Groups, "") {
			return nil, nil, auth.Forbidden(ask, "impersonating the empty string group is not allowed")
		}
		if slices.Contains(as.Groups, auth.Superusers) {
			ask.Name = auth.Superusers
			return nil, nil, auth.Forbidden(ask, "impersonating the system:masters group is not allowed")
		}
	}
	for _, name := range as.Groups {
		ask.Name = name
		each = append(each, ask)
	}
	return each, q.all(each), nil
}

func (q *modeQuestions) extras(as auth.User) (each []auth.Request, all *auth.Request, err error) {
	ask := q.ask(authenticationv1.GroupName, "userextras", "")
	for _, key := range slices.Sorted(maps.Keys(as.Extra)) {
		if q.mode.name != "" {
			if err := checkExtra(key, as.Extra[key]); err != nil {
				return nil, nil, auth.Forbidden(ask, err.Error())
			}
		}
		for _, value := range as.Extra[key] {
			one := ask
			one.Subresource, one.Name = key, value
			each = append(each, one)
		}
	}
	if all = q.all(each); all != nil {
		all.Subresource = "*"
	}
	return each, all, nil
}

// all is the one question that may stand for many.
func (q *modeQuestions) all(each []auth.Request) *auth.Request {
	if q.mode.name == "" || len(each) < manyQuestions {
		return nil
	}
	all := each[0]
	all.Name = "*"
	return &all
}

// checkExtra refuses what the old mode lets pass and no authenticator would make.
func checkExtra(key string, values []string) error {
	if key == "" {
		return errors.New("impersonating the empty string key in extra is not allowed")
	}
	if err := utilvalidation.IsDomainPrefixedPath(field.NewPath("extra", "key"), key).ToAggregate(); err != nil {
		return fmt.Errorf("impersonating an invalid key in extra is not allowed: %w", err)
	}
	switch {
	case key != strings.ToLower(key):
		return fmt.Errorf("impersonating a non-lowercase key in extra is not allowed: %q", key)
	case len(values) == 0:
		return errors.New("impersonating empty values in extra is not allowed")
	case slices.Contains(values, ""):
		return errors.New("impersonating the empty string value in extra is not allowed")
	}
	return nil
}
