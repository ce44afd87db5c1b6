package lab

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"lumacore.dev/lumacore/internal/config"
	"lumacore.dev/lumacore/internal/sim/onepassword"
)

// Names of the 1Password operator's place in a cluster, as its chart has them.
const (
	operatorNamespace = "onepassword"
	operatorAccount   = "onepassword-connect-operator"
)

// operatorRole is the blueprint's ClusterRole for the operator. At home its chart binds
// it in each namespace that it watches.
const operatorRole = "lumacore-onepassword-operator"

//go:embed manifests/onepassword.yaml
var operatorRights []byte

// rightsWithin is how long the operator's start waits for Flux to apply its role.
const rightsWithin = 30 * time.Second

// bindOperator gives the operator its rights: those of the blueprint's role, in all
// namespaces, because the chart that would bind it in some is not installed here. A
// repository without that role gets one of the lab.
func (l *Lab) bindOperator(ctx context.Context) error {
	c, err := newClient(l.kubeconfig("supervisor"))
	if err != nil {
		return err
	}
	role := operatorRole
	// An informer that is refused tries again later and later; so the role comes first.
	if _, err := git(ctx, nil, "-C", l.repository(), "grep", "--quiet", "--fixed-strings", "name: "+operatorRole, branch); err == nil {
		err := poll(ctx, rightsWithin, func() error {
			return c.Get(ctx, client.ObjectKey{Name: operatorRole}, &rbacv1.ClusterRole{})
		})
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// The layer that has it fails, which `lab up` is about to say. The
			// operator goes on trying.
			fmt.Fprintf(l.Streams.Err, "ClusterRole %s: %v\n", operatorRole, err)
		}
	} else {
		objects, err := decode(operatorRights)
		if err != nil {
			return err
		}
		for _, o := range objects {
			if err := apply(ctx, c, o); err != nil {
				return err
			}
			role = o.GetName()
		}
	}
	// What a binding refers to cannot be changed, so each role has its own.
	binding, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "lumacore-lab-" + role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: operatorAccount, Namespace: operatorNamespace}},
	})
	if err != nil {
		return err
	}
	return apply(ctx, c, &unstructured.Unstructured{Object: binding})
}

// defaultVault is the vault of a repository that does not say which one it has.
const defaultVault = "lumacore"

// vaultVariable is its name in settings.env.
const vaultVariable = "ONEPASSWORD_VAULT"

// ServeConnect is the lab's 1Password Connect; it runs as a component of its own.
//
// Its vault has what an owner would have put there: the items of the register of secrets
// on the main branch, with made-up values. A repository without a register gets each item
// that is asked for.
func (l *Lab) ServeConnect(ctx context.Context) error {
	s, err := l.loadSettings()
	if err != nil {
		return err
	}
	store, err := onepassword.OpenStore(l.path("data", "onepassword-connect", "vaults.json"))
	if err != nil {
		return err
	}
	var mu sync.Mutex
	seen := ""
	h := onepassword.Handler(store, s.ConnectToken, func() error {
		mu.Lock()
		defer mu.Unlock()
		tip, err := l.tip(ctx)
		if err != nil || tip == seen { // no commit yet: nobody has written a register
			return nil //nolint:nilerr // see above
		}
		items, registered, err := l.wantedItems(ctx, tip)
		if err != nil {
			// What could be read counts; `lumacore check` reports the rest.
			fmt.Fprintf(l.Streams.Err, "%s of %s: %v\n", config.SecretRegisterFile, short(tip), err)
		}
		if err := store.Require(items, !registered); err != nil {
			return err
		}
		seen = tip
		return nil
	})
	return serve(ctx, s.Ports.addr("onepassword-connect"), h)
}

// wantedItems returns what the register of a commit lists, and whether it has one.
func (l *Lab) wantedItems(ctx context.Context, commit string) ([]onepassword.Wanted, bool, error) {
	show := func(file string) (string, bool) {
		text, err := git(ctx, nil, "-C", l.repository(), "show", commit+":"+file)
		return text, err == nil
	}
	vault := defaultVault
	for _, file := range []string{"clusters/lumacore/settings.env", strings.TrimPrefix(syncPath, "./") + "/settings.env"} {
		text, _ := show(file)
		for line := range strings.Lines(text) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), vaultVariable+"="); ok && v != "" {
				vault = v
			}
		}
	}
	text, ok := show(config.SecretRegisterFile)
	if !ok {
		return nil, false, nil
	}
	register, err := config.ParseSecretRegister([]byte(text))
	if register == nil {
		return nil, true, err
	}
	var list []onepassword.Wanted
	for _, it := range register.Items {
		list = append(list, onepassword.Wanted{Vault: vault, Title: it.Item, Fields: it.Fields})
	}
	return list, true, err
}

// serve serves until ctx ends.
func serve(ctx context.Context, addr string, h http.Handler) error {
	srv := &http.Server{Addr: addr, Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	stop := context.AfterFunc(ctx, func() {
		within, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = srv.Shutdown(within)
	})
	defer stop()
	if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
