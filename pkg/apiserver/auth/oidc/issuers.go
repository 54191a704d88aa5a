package oidc

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/configfile"

	"k8s.io/apimachinery/pkg/api/equality"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
)

const (
	// newWait is how long the issuers of a new file may take to be found before it is put off.
	newWait = time.Minute
	// oldStays is how long the issuers of an old file go on after it, for whom is being asked about just then.
	oldStays = time.Minute
)

// Issuers recognise the tokens of several issuers, which may be replaced while the server runs.
type Issuers struct {
	audiences, disallowed []string
	options               Options
	current               atomic.Pointer[issuers]
}

// issuers are those of one configuration.
type issuers struct {
	list        []*Issuer
	recognisers []auth.Recogniser
	end         context.CancelFunc
}

// NewIssuers returns those that specs describe, which are looked for until ctx ends. Their tokens are for the API server's
// audiences. disallowed issuers are those that nobody else may be: the server itself.
func NewIssuers(ctx context.Context, specs []apiserver.JWTAuthenticator, audiences, disallowed []string, o Options) (*Issuers, error) {
	a := &Issuers{audiences: audiences, disallowed: disallowed, options: o}
	return a, a.replace(ctx, specs, nil)
}

// Recognise implements auth.Recogniser.
func (a *Issuers) Recognise(ctx context.Context, token string, audiences []string) (*auth.Identity, error) {
	var bad []error
	for _, r := range a.current.Load().recognisers {
		id, err := r.Recognise(ctx, token, audiences)
		if id != nil && err == nil {
			return id, nil
		}
		if err != nil {
			bad = append(bad, err)
		}
	}
	return nil, utilerrors.NewAggregate(bad)
}

// replace puts the issuers of specs in place, once ready says that they are. Those of before go a while later.
func (a *Issuers) replace(ctx context.Context, specs []apiserver.JWTAuthenticator, ready func(*issuers) error) error {
	ctx, end := context.WithCancel(ctx)
	next, err := a.compile(ctx, specs)
	if err == nil && ready != nil {
		err = ready(next)
	}
	if err != nil {
		end()
		return err
	}
	next.end = end
	if old := a.current.Swap(next); old != nil {
		time.AfterFunc(oldStays, old.end)
	}
	return nil
}

// Follow puts the file that c was read from as data to use again whenever it has changed, until ctx ends. Who is let in without
// credentials cannot be changed so.
func (a *Issuers) Follow(ctx context.Context, path string, c *apiserver.AuthenticationConfiguration, data []byte, counts *configfile.Reloads) {
	f := configfile.Follower{Path: path, Seen: data, What: "authentication configuration", Logger: a.options.Logger, Counts: counts,
		Use: func(ctx context.Context, data []byte) (bool, error) {
			next, err := parse(path, data, a.disallowed)
			if err != nil {
				return false, err
			}
			if !equality.Semantic.DeepEqual(next.Anonymous, c.Anonymous) {
				return false, field.Forbidden(field.NewPath("anonymous"), "changed from initial configuration file")
			}
			err = a.replace(ctx, next.JWT, func(all *issuers) error { return all.wait(ctx) })
			return err == nil, err
		}}
	f.Run(ctx)
}

// wait returns when all issuers were found.
func (all *issuers) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, newWait)
	defer cancel()
	for _, i := range all.list {
		select {
		case <-i.found:
		case <-ctx.Done():
			err := errors.New("not found yet")
			if last := i.failure.Load(); last != nil {
				err = *last
			}
			return configfile.Later{Err: fmt.Errorf("oidc: issuer %s: %w", i.spec.Issuer.URL, err)}
		}
	}
	return nil
}
