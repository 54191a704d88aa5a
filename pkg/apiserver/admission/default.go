package admission

import (
	"context"
	"fmt"
	"slices"
	"time"

	"bonsai/pkg/apiserver/auth"
	"bonsai/pkg/apiserver/live"
	"bonsai/pkg/apiserver/meter"
	"bonsai/pkg/resource"
	"bonsai/pkg/store"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/sets"
)

// Getter reads objects in their storage versions, which the plugin does not change. Of a kind that the server does
// not have, there are none.
type Getter interface {
	// Get returns an object, or the API's NotFound. It may answer from the image if the object is there, and says
	// NotFound only after it has looked at the newest state.
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
	// Held is Get as far as the image knows: for what does no harm if it is missing, and may not cost a look at the newest state each time.
	Held(ctx context.Context, r schema.GroupResource, namespace, name string) (resource.Object, error)
	// List returns all objects of a kind in a namespace, or in all of them ("").
	List(ctx context.Context, r schema.GroupResource, namespace string) ([]resource.Object, error)
}

// Deps is what the plugins need.
type Deps struct {
	Get Getter
	// Dynamic are the plugins that do what users have configured, in their order: policies and webhooks that change, then
	// those that refuse.
	Dynamic Chain
	// Live is where plugins follow the kinds that they look at with every request. Without a Store in it they ask Get instead, and
	// nothing is charged to quotas.
	Live live.Source
	// Authorizer is asked whether the user may do what an object comes to besides its own write. Nil lets everybody.
	Authorizer auth.Authorizer
	// Kinds finds a kind, of the table or defined. Nil finds none.
	Kinds func(schema.GroupVersionKind) (*resource.Row, *resource.Version, bool)
	// Encode makes what is written of an object that is changed together with another.
	Encode func(key string, obj resource.Object) (store.Put, error)
	// Config is what the plugins were told by a file.
	Config Config
	// Counts is where plugins count; nil if nobody wants to know.
	Counts *meter.Set
	// Now is the clock. Nil means the real one.
	Now func() time.Time
	// Name returns a name that begins with the prefix and ends in five letters that follow from of. Nil means the usual one.
	Name func(prefix, of string) string
	// Wait sleeps between two looks for an object that should be there soon. Nil means real time.
	Wait func(ctx context.Context, d time.Duration)
}

func (d Deps) withDefaults() Deps {
	if d.Name == nil {
		d.Name = nameOf
	}
	if d.Wait == nil {
		d.Wait = sleep
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d
}

// all are the plugins there are, in upstream's order.
func all(d Deps) Chain {
	return append(append(Chain{
		NamespaceLifecycle{d.Get},
		newLimitRanger(d),
		ServiceAccount{d},
		NodeRestriction{d.Get, d.Authorizer},
		TaintNodesByCondition{},
		AlwaysPullImages{},
		newPodSecurity(d),
		newPriority(d),
		DefaultTolerationSeconds{},
		newDefaultStorageClass(d),
		StorageObjectInUseProtection{},
		OwnerReferencesPermissionEnforcement{d},
		PersistentVolumeClaimResize{d.Get},
		RuntimeClass{d.Get},
		CertificateApproval{d.Authorizer},
		CertificateSigning{d.Authorizer},
		ClusterTrustBundleAttest{d.Authorizer},
		CertificateSubjectRestriction{},
		newDefaultIngressClass(d),
		DenyServiceExternalIPs{},
		PodTopologyLabels{d.Get},
		PodResizeValidator{d.Get},
		PodCertificateSigning{d.Authorizer},
		DeviceAdminAccess{d.Get},
		ResourceClaimStatusAuthorization{d.Authorizer},
	}, d.Dynamic...),
		newResourceQuota(d), // after all others, because it is charged what passes
	)
}

// off are the plugins that are there for who asks for them.
var off = []string{"AlwaysPullImages", "DenyServiceExternalIPs", "OwnerReferencesPermissionEnforcement"}

// missing are upstream's plugins that are not there. Who asks for one is told so, rather than left to believe that it is at work; to
// switch one off changes nothing.
var missing = []string{
	"AlwaysAdmit", "AlwaysDeny", "NamespaceAutoProvision", "NamespaceExists", "LimitPodHardAntiAffinityTopology", "ImagePolicyWebhook",
	"PodNodeSelector", "PodTolerationRestriction", "EventRateLimit", "ExtendedResourceToleration", "PodGroupProtection", "NodeDeclaredFeatureValidator",
}

// Default is the chain of a cluster: upstream's plugins that are on by default, and NodeRestriction, which every cluster has.
func Default(d Deps) Chain {
	c, err := New(d, nil, nil)
	if err != nil {
		panic(err) // nothing was asked for that there might not be
	}
	return c
}

// New is Default with the plugins of some names besides, and without those of others.
func New(d Deps, enable, disable []string) (Chain, error) {
	chain := all(d.withDefaults())
	known := func(name string) bool {
		return slices.ContainsFunc(chain, func(p Plugin) bool { return p.Name() == name })
	}
	var bad []error
	for i, name := range slices.Concat(enable, disable) {
		flag := "enable-admission-plugins"
		if i >= len(enable) {
			flag = "disable-admission-plugins"
		}
		switch missing := slices.Contains(missing, name); {
		case missing && i < len(enable):
			bad = append(bad, fmt.Errorf("%s plugin %q is not implemented here", flag, name))
		case !missing && !known(name):
			bad = append(bad, fmt.Errorf("%s plugin %q is unknown", flag, name))
		}
	}
	if both := sets.New(enable...).Intersection(sets.New(disable...)); len(both) > 0 {
		bad = append(bad, fmt.Errorf("%v in enable-admission-plugins and disable-admission-plugins overlapped", sets.List(both)))
	}
	if len(bad) > 0 {
		return nil, utilerrors.NewAggregate(bad)
	}
	return slices.DeleteFunc(chain, func(p Plugin) bool {
		name := p.Name()
		return slices.Contains(disable, name) || slices.Contains(off, name) && !slices.Contains(enable, name)
	}), nil
}
