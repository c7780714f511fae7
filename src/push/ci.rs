//! Which CI system runs us, and what it calls this run: a pure function of the environment.
//!
//! The variables are those the systems document. Nothing is read but the map that is handed in.

use std::collections::BTreeMap;

/// The environment, as a map.
pub type Environment = BTreeMap<String, String>;

/// What a CI system says about the run it is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CiRun {
    /// The system's name, `github`.
    pub provider: &'static str,
    /// The run; unique in the project. Attempts of the same run share it where the system says so.
    pub run: Option<String>,
    /// The job in the run.
    pub job: Option<String>,
    /// The part of a job that is split over several machines.
    pub shard: Option<String>,
    /// The attempt, from 1, where the system counts them.
    pub attempt: Option<u32>,
    /// The commit.
    pub commit: Option<String>,
    /// The branch; of a pull request, the one it comes from.
    pub branch: Option<String>,
    /// The branch a pull request goes to.
    pub base_branch: Option<String>,
    /// The pull request's number.
    pub pull_request: Option<String>,
    /// Where a person sees the run.
    pub url: Option<String>,
}

/// The CI system that runs us, if any.
pub fn detect(environment: &Environment) -> Option<CiRun> {
    let variables = Variables(environment);
    SYSTEMS.iter().find(|(markers, _)| variables.first(markers).is_some()).map(|(_, read)| {
        let mut run = read(&variables);
        // Two systems count their runs alike, and one project may be built by both.
        run.run = run.run.map(|key| format!("{}:{key}", run.provider));
        run
    })
}

/// Reads what one system says about the run.
type Reader = fn(&Variables<'_>) -> CiRun;

/// Each system with the variables only it sets. Jenkins' is the last: its agents run other systems' jobs too, and
/// one that was never told its own address has no `JENKINS_URL`.
const SYSTEMS: [(&[&str], Reader); 10] = [
    (&["GITHUB_ACTIONS"], github),
    (&["GITLAB_CI"], gitlab),
    (&["CIRCLECI"], circle),
    (&["BUILDKITE"], buildkite),
    (&["TF_BUILD"], azure),
    (&["BITBUCKET_BUILD_NUMBER", "BITBUCKET_PIPELINE_UUID", "BITBUCKET_COMMIT"], bitbucket),
    (&["TRAVIS"], travis),
    (&["DRONE"], drone),
    (&["TEAMCITY_VERSION"], teamcity),
    (&["JENKINS_URL", "JENKINS_HOME"], jenkins),
];

struct Variables<'a>(&'a Environment);

impl Variables<'_> {
    /// A variable that says something. Systems set what does not apply to nothing, or to the word false.
    fn get(&self, name: &str) -> Option<String> {
        self.0
            .get(name)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty() && *value != "false")
            .map(str::to_owned)
    }

    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.get(name))
    }

    fn number(&self, name: &str) -> Option<u32> {
        self.get(name)?.parse().ok()
    }
}

fn github(env: &Variables<'_>) -> CiRun {
    let reference = env.get("GITHUB_REF");
    let run = env.get("GITHUB_RUN_ID");
    let url = match (env.get("GITHUB_SERVER_URL"), env.get("GITHUB_REPOSITORY"), &run) {
        (Some(server), Some(repository), Some(run)) => Some(format!("{server}/{repository}/actions/runs/{run}")),
        _ => None,
    };
    CiRun {
        provider: "github",
        run,
        job: env.get("GITHUB_JOB"),
        shard: None,
        attempt: env.number("GITHUB_RUN_ATTEMPT"),
        commit: env.get("GITHUB_SHA"),
        branch: env
            .get("GITHUB_HEAD_REF")
            .or_else(|| reference.as_deref().and_then(|name| name.strip_prefix("refs/heads/")).map(str::to_owned)),
        base_branch: env.get("GITHUB_BASE_REF"),
        pull_request: reference
            .as_deref()
            .and_then(|name| name.strip_prefix("refs/pull/")?.split('/').next())
            .map(str::to_owned),
        url,
    }
}

/// On a pull request GitHub's commit is a merge made for the run; the commit under review stands in the event's
/// document, the file that `GITHUB_EVENT_PATH` names.
pub fn commit_of_github_event(document: &str) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(document).ok()?;
    event.pointer("/pull_request/head/sha")?.as_str().map(str::to_owned)
}

fn gitlab(env: &Variables<'_>) -> CiRun {
    CiRun {
        provider: "gitlab",
        // A job that is retried has another number and no count of attempts: without it, its reports and those of the
        // attempt before would be judged together.
        run: match (env.get("CI_PIPELINE_ID"), env.get("CI_JOB_ID")) {
            (Some(pipeline), Some(job)) => Some(format!("{pipeline}/{job}")),
            (pipeline, _) => pipeline,
        },
        // A job that is split in parts is `unit 1/3`, and the part is its shard.
        job: env.get("CI_JOB_NAME").map(|name| without_part(&name)),
        shard: env.get("CI_NODE_INDEX"),
        attempt: None,
        commit: env.get("CI_COMMIT_SHA"),
        branch: env.first(&["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"]),
        base_branch: env.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
        pull_request: env.get("CI_MERGE_REQUEST_IID"),
        url: env.get("CI_JOB_URL"),
    }
}

fn without_part(job: &str) -> String {
    let is_part = |end: &str| {
        end.split_once('/').is_some_and(|(part, of)| {
            [part, of].iter().all(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
    };
    match job.rsplit_once(' ') {
        Some((name, end)) if is_part(end) => name.to_owned(),
        _ => job.to_owned(),
    }
}

fn jenkins(env: &Variables<'_>) -> CiRun {
    let branch = env.first(&["CHANGE_BRANCH", "BRANCH_NAME", "GIT_LOCAL_BRANCH", "GIT_BRANCH"]);
    CiRun {
        provider: "jenkins",
        run: env.get("BUILD_TAG"),
        job: env.get("JOB_NAME"),
        shard: None,
        attempt: None,
        commit: env.get("GIT_COMMIT"),
        branch: branch.map(|name| name.strip_prefix("origin/").map_or(name.clone(), str::to_owned)),
        base_branch: env.get("CHANGE_TARGET"),
        pull_request: env.get("CHANGE_ID"),
        url: env.get("BUILD_URL"),
    }
}

fn circle(env: &Variables<'_>) -> CiRun {
    CiRun {
        provider: "circleci",
        run: env.get("CIRCLE_WORKFLOW_ID"),
        job: env.get("CIRCLE_JOB"),
        shard: env.get("CIRCLE_NODE_INDEX"),
        attempt: None,
        commit: env.get("CIRCLE_SHA1"),
        branch: env.get("CIRCLE_BRANCH"),
        base_branch: None,
        pull_request: env.get("CIRCLE_PULL_REQUEST").and_then(|url| url.rsplit('/').next().map(str::to_owned)),
        url: env.get("CIRCLE_BUILD_URL"),
    }
}

fn buildkite(env: &Variables<'_>) -> CiRun {
    CiRun {
        provider: "buildkite",
        run: env.get("BUILDKITE_BUILD_ID"),
        job: env.first(&["BUILDKITE_STEP_KEY", "BUILDKITE_LABEL", "BUILDKITE_STEP_ID"]),
        shard: env.get("BUILDKITE_PARALLEL_JOB"),
        attempt: env.number("BUILDKITE_RETRY_COUNT").map(|retries| retries.saturating_add(1)),
        commit: env.get("BUILDKITE_COMMIT").filter(|commit| commit != "HEAD"),
        branch: env.get("BUILDKITE_BRANCH"),
        base_branch: env.get("BUILDKITE_PULL_REQUEST_BASE_BRANCH"),
        pull_request: env.get("BUILDKITE_PULL_REQUEST"),
        url: env.get("BUILDKITE_BUILD_URL"),
    }
}

fn azure(env: &Variables<'_>) -> CiRun {
    let run = env.get("BUILD_BUILDID");
    let url = match (env.get("SYSTEM_COLLECTIONURI"), env.get("SYSTEM_TEAMPROJECT"), &run) {
        (Some(collection), Some(project), Some(run)) => {
            Some(format!("{}/{project}/_build/results?buildId={run}", collection.trim_end_matches('/')))
        }
        _ => None,
    };
    let branch = env.first(&["SYSTEM_PULLREQUEST_SOURCEBRANCH", "BUILD_SOURCEBRANCH"]);
    let base_branch = env.get("SYSTEM_PULLREQUEST_TARGETBRANCH");
    CiRun {
        provider: "azure",
        run,
        job: env.first(&["SYSTEM_JOBNAME", "AGENT_JOBNAME", "SYSTEM_JOBID"]),
        shard: env.get("SYSTEM_JOBPOSITIONINPHASE"),
        attempt: env.number("SYSTEM_JOBATTEMPT"),
        commit: env.first(&["SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"]),
        branch: branch.map(|name| without_heads(&name)),
        base_branch: base_branch.map(|name| without_heads(&name)),
        pull_request: env.first(&["SYSTEM_PULLREQUEST_PULLREQUESTNUMBER", "SYSTEM_PULLREQUEST_PULLREQUESTID"]),
        url,
    }
}

fn bitbucket(env: &Variables<'_>) -> CiRun {
    let url = match (env.get("BITBUCKET_REPO_FULL_NAME"), env.get("BITBUCKET_BUILD_NUMBER")) {
        (Some(repository), Some(number)) => {
            Some(format!("https://bitbucket.org/{repository}/pipelines/results/{number}"))
        }
        _ => None,
    };
    CiRun {
        provider: "bitbucket",
        run: env.first(&["BITBUCKET_PIPELINE_UUID", "BITBUCKET_BUILD_NUMBER"]),
        job: env.get("BITBUCKET_STEP_UUID"),
        shard: env.get("BITBUCKET_PARALLEL_STEP"),
        attempt: env.number("BITBUCKET_STEP_RUN_NUMBER"),
        commit: env.get("BITBUCKET_COMMIT"),
        branch: env.get("BITBUCKET_BRANCH"),
        base_branch: env.get("BITBUCKET_PR_DESTINATION_BRANCH"),
        pull_request: env.get("BITBUCKET_PR_ID"),
        url,
    }
}

fn teamcity(env: &Variables<'_>) -> CiRun {
    let job = env.get("TEAMCITY_BUILDCONF_NAME");
    let number = env.get("BUILD_NUMBER");
    let run = match (&job, &number) {
        (Some(job), Some(number)) => Some(format!("{job}#{number}")),
        _ => number,
    };
    CiRun {
        provider: "teamcity",
        run,
        job,
        shard: None,
        attempt: None,
        commit: env.get("BUILD_VCS_NUMBER"),
        branch: env
            .first(&["TEAMCITY_PULLREQUEST_SOURCE_BRANCH", "TEAMCITY_BUILD_BRANCH"])
            .map(|name| without_heads(&name)),
        base_branch: env.get("TEAMCITY_PULLREQUEST_TARGET_BRANCH").map(|name| without_heads(&name)),
        pull_request: env.get("TEAMCITY_PULLREQUEST_NUMBER"),
        url: env.get("BUILD_URL"),
    }
}

fn travis(env: &Variables<'_>) -> CiRun {
    // 1234.2 is the second job of build 1234: a name that is the same in every build.
    let position = env.get("TRAVIS_JOB_NUMBER").and_then(|number| Some(number.split_once('.')?.1.to_owned()));
    CiRun {
        provider: "travis",
        run: env.get("TRAVIS_BUILD_ID"),
        job: env.get("TRAVIS_JOB_NAME").or(position),
        shard: None,
        attempt: None,
        commit: env.first(&["TRAVIS_PULL_REQUEST_SHA", "TRAVIS_COMMIT"]),
        branch: env.first(&["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"]),
        base_branch: env.get("TRAVIS_PULL_REQUEST").and_then(|_| env.get("TRAVIS_BRANCH")),
        pull_request: env.get("TRAVIS_PULL_REQUEST"),
        url: env.first(&["TRAVIS_JOB_WEB_URL", "TRAVIS_BUILD_WEB_URL"]),
    }
}

fn drone(env: &Variables<'_>) -> CiRun {
    let names = [env.get("DRONE_STAGE_NAME"), env.get("DRONE_STEP_NAME")];
    let job = names.into_iter().flatten().collect::<Vec<_>>().join("/");
    CiRun {
        provider: "drone",
        run: env.get("DRONE_BUILD_NUMBER"),
        job: Some(job).filter(|name| !name.is_empty()),
        shard: None,
        attempt: None,
        commit: env.first(&["DRONE_COMMIT_SHA", "DRONE_COMMIT"]),
        branch: env.first(&["DRONE_SOURCE_BRANCH", "DRONE_BRANCH"]),
        base_branch: env.get("DRONE_PULL_REQUEST").and_then(|_| env.get("DRONE_TARGET_BRANCH")),
        pull_request: env.get("DRONE_PULL_REQUEST"),
        url: env.get("DRONE_BUILD_LINK"),
    }
}

fn without_heads(name: &str) -> String {
    name.strip_prefix("refs/heads/").unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(pairs: &[(&str, &str)]) -> CiRun {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        detect(&environment).unwrap()
    }

    /// What a run says, in one line: provider, run, job, shard, attempt, commit, branch, base, pull request.
    fn told(pairs: &[(&str, &str)]) -> String {
        let run = detected(pairs);
        let attempt = run.attempt.map(|attempt| attempt.to_string());
        let fields =
            [run.run, run.job, run.shard, attempt, run.commit, run.branch, run.base_branch, run.pull_request, run.url];
        fields.into_iter().map(|field| field.unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn outside_of_ci_nothing_is_detected() {
        assert_eq!(detect(&Environment::new()), None);
        assert_eq!(detect(&[("CI".to_owned(), "true".to_owned())].into()), None);
        assert_eq!(detect(&[("GITHUB_ACTIONS".to_owned(), "false".to_owned())].into()), None);
    }

    #[test]
    fn a_system_is_known_by_each_variable_that_only_it_sets() {
        for (variable, provider) in [("BITBUCKET_COMMIT", "bitbucket"), ("JENKINS_HOME", "jenkins")] {
            assert_eq!(detected(&[(variable, "x")]).provider, provider);
        }
    }

    #[test]
    fn github_on_a_branch_and_on_a_pull_request() {
        let common = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_RUN_ID", "42"),
            ("GITHUB_RUN_ATTEMPT", "2"),
            ("GITHUB_JOB", "unit"),
            ("GITHUB_SHA", "abc"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_REPOSITORY", "o/r"),
        ];
        let branch = [&common[..], &[("GITHUB_REF", "refs/heads/feature/x"), ("GITHUB_HEAD_REF", "")]].concat();
        assert_eq!(told(&branch), "github:42 unit - 2 abc feature/x - - https://github.com/o/r/actions/runs/42");
        let pull = [
            &common[..],
            &[("GITHUB_REF", "refs/pull/7/merge"), ("GITHUB_HEAD_REF", "feature/x"), ("GITHUB_BASE_REF", "main")],
        ];
        assert_eq!(
            told(&pull.concat()),
            "github:42 unit - 2 abc feature/x main 7 https://github.com/o/r/actions/runs/42"
        );
        let tag = [&common[..2], &[("GITHUB_REF", "refs/tags/v1")]].concat();
        assert_eq!(told(&tag), "github:42 - - - - - - - -", "a tag is no branch");
        let event = r#"{"pull_request": {"head": {"sha": "def"}}}"#;
        assert_eq!(commit_of_github_event(event).as_deref(), Some("def"));
        assert_eq!(commit_of_github_event("{}"), None);
    }

    #[test]
    fn gitlab_on_a_branch_and_on_a_merge_request() {
        let common =
            [("GITLAB_CI", "true"), ("CI_PIPELINE_ID", "9"), ("CI_JOB_NAME", "unit 1/3"), ("CI_NODE_INDEX", "1")];
        let branch =
            [&common[..], &[("CI_COMMIT_SHA", "abc"), ("CI_COMMIT_BRANCH", "main"), ("CI_JOB_URL", "u")]].concat();
        assert_eq!(told(&branch), "gitlab:9 unit 1 - abc main - - u");
        let numbered = [&branch[..], &[("CI_JOB_ID", "77")]].concat();
        assert_eq!(told(&numbered), "gitlab:9/77 unit 1 - abc main - - u");
        let request = [
            &common[..],
            &[
                ("CI_MERGE_REQUEST_IID", "5"),
                ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "x"),
                ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
                ("CI_COMMIT_REF_NAME", "refs/merge-requests/5/head"),
            ],
        ];
        assert_eq!(told(&request.concat()), "gitlab:9 unit 1 - - x main 5 -");
    }

    #[test]
    fn jenkins_strips_origin_only_as_a_prefix() {
        let common =
            [("JENKINS_URL", "j"), ("BUILD_TAG", "jenkins-shop-3"), ("JOB_NAME", "shop"), ("GIT_COMMIT", "abc")];
        let plain = [&common[..], &[("GIT_BRANCH", "origin/fix/origin/x")]].concat();
        assert_eq!(told(&plain), "jenkins:jenkins-shop-3 shop - - abc fix/origin/x - - -");
        let change = [
            &common[..],
            &[("CHANGE_ID", "8"), ("CHANGE_BRANCH", "x"), ("CHANGE_TARGET", "main"), ("BRANCH_NAME", "PR-8")],
        ];
        assert_eq!(told(&change.concat()), "jenkins:jenkins-shop-3 shop - - abc x main 8 -");
    }

    #[test]
    fn the_other_seven_are_told_by_their_own_variables() {
        for (pairs, expected) in [
            (
                &[
                    ("CIRCLECI", "true"),
                    ("CIRCLE_WORKFLOW_ID", "w"),
                    ("CIRCLE_JOB", "unit"),
                    ("CIRCLE_NODE_INDEX", "0"),
                    ("CIRCLE_SHA1", "abc"),
                    ("CIRCLE_BRANCH", "x"),
                    ("CIRCLE_PULL_REQUEST", "https://github.com/o/r/pull/12"),
                ][..],
                "circleci:w unit 0 - abc x - 12 -",
            ),
            (
                &[
                    ("BUILDKITE", "true"),
                    ("BUILDKITE_BUILD_ID", "b"),
                    ("BUILDKITE_STEP_KEY", "unit"),
                    ("BUILDKITE_STEP_ID", "uuid"),
                    ("BUILDKITE_PARALLEL_JOB", "3"),
                    ("BUILDKITE_RETRY_COUNT", "1"),
                    ("BUILDKITE_COMMIT", "HEAD"),
                    ("BUILDKITE_BRANCH", "x"),
                    ("BUILDKITE_PULL_REQUEST", "false"),
                ],
                "buildkite:b unit 3 2 - x - - -",
            ),
            (
                &[
                    ("TF_BUILD", "True"),
                    ("BUILD_BUILDID", "77"),
                    ("SYSTEM_JOBID", "j"),
                    ("SYSTEM_JOBATTEMPT", "1"),
                    ("BUILD_SOURCEVERSION", "merge"),
                    ("SYSTEM_PULLREQUEST_SOURCECOMMITID", "abc"),
                    ("BUILD_SOURCEBRANCH", "refs/pull/4/merge"),
                    ("SYSTEM_PULLREQUEST_SOURCEBRANCH", "refs/heads/feature/x"),
                    ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main"),
                    ("SYSTEM_PULLREQUEST_PULLREQUESTID", "4"),
                    ("SYSTEM_COLLECTIONURI", "https://dev.azure.com/o/"),
                    ("SYSTEM_TEAMPROJECT", "p"),
                ],
                "azure:77 j - 1 abc feature/x main 4 https://dev.azure.com/o/p/_build/results?buildId=77",
            ),
            (
                &[
                    ("BITBUCKET_BUILD_NUMBER", "6"),
                    ("BITBUCKET_PIPELINE_UUID", "{p}"),
                    ("BITBUCKET_STEP_UUID", "{s}"),
                    ("BITBUCKET_STEP_RUN_NUMBER", "2"),
                    ("BITBUCKET_COMMIT", "abc"),
                    ("BITBUCKET_BRANCH", "x"),
                    ("BITBUCKET_REPO_FULL_NAME", "o/r"),
                ],
                "bitbucket:{p} {s} - 2 abc x - - https://bitbucket.org/o/r/pipelines/results/6",
            ),
            (
                &[
                    ("TEAMCITY_VERSION", "2025.03"),
                    ("TEAMCITY_BUILDCONF_NAME", "Unit"),
                    ("BUILD_NUMBER", "31"),
                    ("BUILD_VCS_NUMBER", "abc"),
                ],
                "teamcity:Unit#31 Unit - - abc - - - -",
            ),
            (
                &[
                    ("TRAVIS", "true"),
                    ("TRAVIS_BUILD_ID", "5"),
                    ("TRAVIS_JOB_NUMBER", "1234.2"),
                    ("TRAVIS_COMMIT", "merge"),
                    ("TRAVIS_PULL_REQUEST", "9"),
                    ("TRAVIS_PULL_REQUEST_SHA", "abc"),
                    ("TRAVIS_PULL_REQUEST_BRANCH", "x"),
                    ("TRAVIS_BRANCH", "main"),
                ],
                "travis:5 2 - - abc x main 9 -",
            ),
            (
                &[
                    ("DRONE", "true"),
                    ("DRONE_BUILD_NUMBER", "8"),
                    ("DRONE_STAGE_NAME", "default"),
                    ("DRONE_STEP_NAME", "test"),
                    ("DRONE_COMMIT_SHA", "abc"),
                    ("DRONE_BRANCH", "main"),
                ],
                "drone:8 default/test - - abc main - - -",
            ),
        ] {
            assert_eq!(told(pairs), expected);
        }
    }
}
