# Settings of GitLab, read by the container when it starts (compose.yaml). They may be
# changed here and nowhere else: /etc/gitlab/gitlab.rb in the container is empty. All
# settings: /opt/gitlab/etc/gitlab.rb.template in the container, and
# https://docs.gitlab.com/omnibus/settings/
#
# What stands in GitLab's database instead (sign-up, visibility) is set by the commands of
# README.md; what belongs to a project, by `lumacore gitlab apply`.

require 'uri'

# The facts are those of clusters/lumacore/settings.env. A mistake ends the start here, with
# a reason, and not in the web server with none.
git_url = URI.parse(ENV.fetch('GIT_URL'))
raise "GIT_URL is #{git_url}: want https://HOST/..." unless git_url.is_a?(URI::HTTPS) && git_url.host

## Addresses. The certificates are /etc/gitlab/ssl/HOST.crt and HOST.key. GitLab does not
## fetch them from Let's Encrypt: nothing on the internet reaches this machine.
external_url "https://#{git_url.host}#{":#{git_url.port}" unless git_url.port == 443}"
registry_external_url "https://#{ENV.fetch('REGISTRY')}"
letsencrypt['enable'] = false
# The registry of a new installation keeps its metadata in GitLab's database by itself, which
# protected tags of images need: registry['database'] is left alone.

gitlab_rails['time_zone'] = ENV.fetch('TIMEZONE', 'Etc/UTC')
# The port of compose.yaml, for the addresses that GitLab shows.
gitlab_rails['gitlab_shell_ssh_port'] = 2222

## The hook that checks signatures and prod paths, for every project. compose.yaml puts it
## there. https://docs.gitlab.com/administration/server_hooks/
gitaly['configuration'] = {
  hooks: {
    custom_hooks_dir: '/opt/lumacore/custom_hooks',
  },
}

## Backups: README.md. A week's are kept in the volume.
gitlab_rails['backup_path'] = '/var/opt/gitlab/backups'
gitlab_rails['backup_keep_time'] = 604_800

## For one person on a machine that does other things too: about 5 GB of memory.
## https://docs.gitlab.com/omnibus/settings/memory_constrained_envs/
puma['worker_processes'] = 2
sidekiq['concurrency'] = 10
postgresql['shared_buffers'] = '512MB'
# The cluster's Prometheus watches; GitLab need not bring its own, with an Alertmanager.
prometheus_monitoring['enable'] = false
# Kubernetes agent: Flux does its work.
gitlab_kas['enable'] = false
gitlab_pages['enable'] = false

## Nobody is told about this installation, and no pictures come from elsewhere.
gitlab_rails['usage_ping_enabled'] = false
gitlab_rails['gitlab_email_enabled'] = false

## The first password of root is not written to a file; README.md sets one.
gitlab_rails['store_initial_root_password'] = false
gitlab_rails['display_initial_root_password'] = false

## New projects begin with what a GitOps repository needs.
gitlab_rails['gitlab_default_projects_features_wiki'] = false
gitlab_rails['gitlab_default_projects_features_snippets'] = false
